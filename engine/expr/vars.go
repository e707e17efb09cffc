package expr

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"sallyport/sessions"
)

// Var is one variable of the language.
type Var uint8

// The variables, those that a policy most often turns on first.
const (
	Posture Var = iota
	Authenticated
	Assurance
	Method
	OS
	Groups
	User
	NAS
	NASGroup
	TunnelGroup
	NASPortType
	ServiceType
	CallingStationID
	CalledStationID
	FramedIP
	MAC
	Agent
	Hour
	Weekday
	Failed
	InGrace
	AgentKind
	OSVersion
	Hostname
	Domain
	NASIP
	NASIdentifier
	NASPortID
	Storage
	Firewall
	AntiMalware
	Encryption
	Updates
	vars // the number of them
)

const _ = uint(64 - vars) // Vars has 64 bits

// variable is how one is declared and read.
type variable struct {
	name  string
	typ   *cel.Type
	words []string         // all that it can hold besides the empty string; nil: anything
	value func(*Input) any // nil: it is a text field of Input
}

var variables = [vars]variable{
	Posture: {"session.posture", cel.StringType, sessions.PostureStatusNames(),
		func(in *Input) any { return in.Posture.String() }},
	Authenticated: {"session.authenticated", cel.BoolType, []string{"false", "true"},
		func(in *Input) any { return in.Authenticated }},
	Assurance: {"session.assurance", cel.StringType, assurances(),
		func(in *Input) any { return in.Assurance.String() }},
	Groups: {"session.groups", cel.ListType(cel.StringType), nil,
		func(in *Input) any { var room [groupRoom]string; return slices.Clone(ordered(in.Groups, &room)) }},
	Hour: {"time.hour", cel.IntType, nil,
		func(in *Input) any { return int64(in.Time.UTC().Hour()) }},
	Weekday: {"time.weekday", cel.IntType, nil,
		func(in *Input) any { return int64(in.Time.UTC().Weekday()) }},

	Failed: {"session.failed", cel.ListType(cel.StringType), nil,
		func(in *Input) any { var room [groupRoom]string; return slices.Clone(ordered(in.Failed, &room)) }},
	InGrace: {"session.in_grace", cel.BoolType, []string{"false", "true"},
		func(in *Input) any { return in.InGrace }},

	Method:           {name: "session.method", words: []string{"pap", "mab", "authorize-only"}},
	OS:               {name: "endpoint.os", words: []string{"windows", "linux", "macos"}},
	User:             {name: "session.user"},
	NAS:              {name: "session.nas"},
	NASGroup:         {name: "session.nas_group"},
	TunnelGroup:      {name: "session.tunnel_group"},
	NASPortType:      {name: "session.nas_port_type"},
	ServiceType:      {name: "session.service_type"},
	CallingStationID: {name: "session.calling_station_id"},
	CalledStationID:  {name: "session.called_station_id"},
	FramedIP:         {name: "session.framed_ip"},
	MAC:              {name: "endpoint.mac"},
	Agent:            {name: "endpoint.agent"},
	AgentKind:        {name: "endpoint.agent_kind", words: []string{"agent", "temporal"}},
	OSVersion:        {name: "endpoint.os_version"},
	Hostname:         {name: "endpoint.hostname"},
	Domain:           {name: "endpoint.domain"},
	NASIP:            {name: "session.nas_ip"},
	NASIdentifier:    {name: "session.nas_identifier"},
	NASPortID:        {name: "session.nas_port_id"},
	Storage:          {name: "fact.usb_storage", words: []string{"none", "blocked", "in-use", "unknown"}},
	Firewall:         {name: "fact.firewall", words: []string{"on", "off", "unknown"}},
	AntiMalware:      {name: "fact.antimalware", words: []string{"on", "off", "unknown"}},
	Encryption:       {name: "fact.encryption", words: []string{"encrypted", "partly", "none", "unknown"}},
	Updates:          {name: "fact.updates", words: []string{"current", "missing", "unknown"}},
}

// field is where a text variable stands in in, nil for the others. A switch, not a
// table of functions: in must not escape to the heap on the way to a key.
func (v Var) field(in *Input) *string {
	switch v {
	case Method:
		return &in.Method
	case OS:
		return &in.OS
	case User:
		return &in.User
	case NAS:
		return &in.NAS
	case NASGroup:
		return &in.NASGroup
	case TunnelGroup:
		return &in.TunnelGroup
	case NASPortType:
		return &in.NASPortType
	case ServiceType:
		return &in.ServiceType
	case CallingStationID:
		return &in.CallingStationID
	case CalledStationID:
		return &in.CalledStationID
	case FramedIP:
		return &in.FramedIP
	case MAC:
		return &in.MAC
	case Agent:
		return &in.Agent
	case AgentKind:
		return &in.AgentKind
	case OSVersion:
		return &in.OSVersion
	}
	return v.moreField(in)
}

// moreField is field for what is read more seldom.
func (v Var) moreField(in *Input) *string {
	switch v {
	case Hostname:
		return &in.Hostname
	case Domain:
		return &in.Domain
	case NASIP:
		return &in.NASIP
	case NASIdentifier:
		return &in.NASIdentifier
	case NASPortID:
		return &in.NASPortID
	case Storage:
		return &in.Facts.Storage
	case Firewall:
		return &in.Facts.Firewall
	case AntiMalware:
		return &in.Facts.AntiMalware
	case Encryption:
		return &in.Facts.Encryption
	case Updates:
		return &in.Facts.Updates
	}
	return nil
}

// list is where a list variable stands in in, nil for the others.
func (v Var) list(in *Input) *[]string {
	switch v {
	case Groups:
		return &in.Groups
	case Failed:
		return &in.Failed
	}
	return nil
}

// celType is text for the fields.
func (v Var) celType() *cel.Type {
	if t := variables[v].typ; t != nil {
		return t
	}
	return cel.StringType
}

// value is what CEL gets.
func (v Var) value(in *Input) any {
	if at := v.field(in); at != nil {
		return *at
	}
	return variables[v].value(in)
}

var byName = func() map[string]Var {
	m := make(map[string]Var, vars)
	for v := range vars {
		m[variables[v].name] = v
	}
	return m
}()

func assurances() []string { return sessions.AssuranceNames() }

// Names lists every variable, for messages.
func Names() []string {
	names := make([]string, vars)
	for v := range variables {
		names[v] = variables[v].name
	}
	return names
}

// String is the name of the language: session.posture.
func (v Var) String() string {
	if v < vars {
		return variables[v].name
	}
	return "unknown"
}

// Words are all that the variable can hold besides the empty string; none when it may
// hold anything.
func (v Var) Words() []string { return variables[v].words }

// Value is what the variable holds, as people read it: texts without quotes, groups
// between commas.
func (v Var) Value(in *Input) string {
	switch value := v.value(in).(type) {
	case string:
		return value
	case bool:
		return strconv.FormatBool(value)
	case int64:
		return strconv.FormatInt(value, 10)
	case []string:
		return strings.Join(value, ", ")
	}
	return ""
}

// With is in with the variable set to a value in the words of Value, false when the
// variable cannot hold it. For session.groups the value is one group, which is added, or
// taken away when it is there; session.failed is alike.
func (v Var) With(in Input, value string) (Input, bool) {
	ok := true
	switch v {
	case Posture:
		in.Posture, ok = sessions.ParsePostureStatus(value)
	case Authenticated:
		in.Authenticated, ok = value == "true", value == "true" || value == "false"
	case Assurance:
		in.Assurance, ok = sessions.ParseAssurance(value)
	case InGrace:
		in.InGrace, ok = value == "true", value == "true" || value == "false"
	case Groups, Failed:
		list := v.list(&in)
		n := slices.Index(*list, value)
		*list = slices.DeleteFunc(slices.Clone(*list), func(g string) bool { return g == value })
		if n < 0 {
			*list = append(*list, value)
		}
	case Hour, Weekday:
		n, err := strconv.Atoi(value)
		if v == Hour {
			in.Time, ok = in.Time.UTC().Add(time.Duration(n-in.Time.UTC().Hour())*time.Hour), err == nil && n >= 0 && n < 24
		} else {
			in.Time, ok = in.Time.UTC().AddDate(0, 0, n-int(in.Time.UTC().Weekday())), err == nil && n >= 0 && n < 7
		}
	default:
		*v.field(&in) = value
	}
	return in, ok
}

// Vars is a set of variables.
type Vars uint64

// Has says whether v is in the set.
func (s Vars) Has(v Var) bool { return s&(1<<v) != 0 }

// All walks the set in the order of the constants.
func (s Vars) All() iter.Seq[Var] {
	return func(yield func(Var) bool) {
		for rest := s; rest != 0; rest &= rest - 1 {
			if !yield(Var(bits.TrailingZeros64(uint64(rest)))) {
				return
			}
		}
	}
}

// groupRoom is how many groups are ordered without allocating.
const groupRoom = 32

// AppendKey appends the values of the set's variables, so that two inputs have the same
// key when, and only when, no variable of the set tells them apart. It allocates only
// where dst has no room, or there are more than 32 groups out of order.
func (s Vars) AppendKey(dst []byte, in *Input) []byte {
	for rest := s; rest != 0; rest &= rest - 1 {
		switch v := Var(bits.TrailingZeros64(uint64(rest))); v {
		case Posture:
			dst = append(dst, byte(in.Posture))
		case Authenticated:
			dst = appendBool(dst, in.Authenticated)
		case InGrace:
			dst = appendBool(dst, in.InGrace)
		case Assurance:
			dst = append(dst, byte(in.Assurance))
		case Hour:
			dst = append(dst, byte(in.Time.UTC().Hour()))
		case Weekday:
			dst = append(dst, byte(in.Time.UTC().Weekday()))
		case Groups:
			dst = appendGroups(dst, in.Groups)
		case Failed:
			dst = appendGroups(dst, in.Failed)
		default:
			dst = appendText(dst, *v.field(in))
		}
	}
	return dst
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendGroups(dst []byte, groups []string) []byte {
	var room [groupRoom]string
	groups = ordered(groups, &room)
	dst = binary.AppendUvarint(dst, uint64(len(groups)))
	for _, g := range groups {
		dst = appendText(dst, g)
	}
	return dst
}

// ordered is groups sorted, each once; groups itself when it is so already.
func ordered(groups []string, room *[groupRoom]string) []string {
	inOrder := true
	for i := 1; i < len(groups) && inOrder; i++ {
		inOrder = groups[i-1] < groups[i]
	}
	if inOrder {
		return groups
	}
	sorted := append(room[:0], groups...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
