package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"sallyport/engine/authz"
	"sallyport/engine/policy"
	"sallyport/engine/posture"
	"sallyport/netio/report"
	"sallyport/sessions"
)

type explainCmd struct {
	ID      string `arg:"" optional:"" help:"Explain a session of the running appliance instead of the facts below."`
	Config  string `help:"Configuration file." default:"${config}" placeholder:"FILE"`
	JSON    bool   `name:"json" help:"One JSON object."`
	Session string `help:"The same." placeholder:"ID"`

	User        string        `help:"User name; the groups come from its store." group:"Facts"`
	Groups      []string      `help:"Groups, besides the store's." group:"Facts"`
	NAS         string        `name:"nas" help:"Name of a NAS." group:"Facts"`
	OS          string        `name:"os" enum:",windows,linux,macos" default:"" help:"windows, linux or macos." group:"Facts"`
	Posture     string        `default:"Pending" help:"Posture status." group:"Facts"`
	Method      string        `default:"pap" help:"pap, mab or authorize-only." group:"Facts"`
	Assurance   string        `enum:"none,address-mac,ticket,ticket-elsewhere,key" default:"none" help:"Strength of the agent's binding." group:"Facts"`
	MAC         string        `name:"mac" help:"MAC of the endpoint." group:"Facts"`
	TunnelGroup string        `help:"Tunnel group of a VPN." group:"Facts"`
	PortType    string        `help:"NAS-Port-Type, such as Virtual or Ethernet." group:"Facts"`
	Unauthentic bool          `help:"The credentials were not right." group:"Facts"`
	Facts       string        `help:"Facts of a report as JSON, or a whole report: they are judged, and --posture does not count." type:"existingfile" placeholder:"FILE" group:"Facts"`
	Age         time.Duration `default:"0s" help:"How old they are." group:"Facts"`
}

// Run explains.
func (c *explainCmd) Run() error {
	if c.Session == "" {
		c.Session = c.ID
	}
	if c.Session != "" {
		return c.running()
	}
	snap, _, faults := policy.Load(c.Config)
	if err := faults.Err(); err != nil {
		return configError(err)
	}
	in, err := c.input(snap)
	if err != nil {
		return err
	}
	q := policy.Question{Posture: posture.Input{Session: *in}, Held: c.Facts == ""}
	if c.Facts != "" {
		if err := c.facts(&q.Posture); err != nil {
			return err
		}
	}
	return c.print(snap.Explain(in.Time, q))
}

// facts reads the file: the facts of a report, or the report that holds them.
func (c *explainCmd) facts(in *posture.Input) error {
	text, err := os.ReadFile(c.Facts)
	if err != nil {
		return err
	}
	var r report.Report
	if err := decodeStrictly(text, &r); err != nil || r.V == 0 {
		if err := decodeStrictly(text, &r.Facts); err != nil {
			return fmt.Errorf("--facts %s: neither a report nor its facts: %w", c.Facts, err)
		}
	}
	in.Facts, in.FactsAt = &r.Facts, in.Session.Time.Add(-c.Age)
	if r.System.OS != "" {
		in.System, in.Session.OS = &r.System, r.System.OS
	}
	return nil
}

func decodeStrictly(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(to)
}

func (c *explainCmd) input(snap *policy.Snapshot) (*authz.Input, error) {
	status, ok := sessions.ParsePostureStatus(c.Posture)
	if !ok {
		return nil, fmt.Errorf("--posture %s: want one of %s", c.Posture, strings.Join(sessions.PostureStatusNames(), ", "))
	}
	in := &authz.Input{
		Authenticated: !c.Unauthentic, Posture: status, User: c.User, NAS: c.NAS, Method: c.Method, OS: c.OS,
		MAC: sessions.CanonicalStation(c.MAC), TunnelGroup: c.TunnelGroup, NASPortType: c.PortType, Time: time.Now(),
		Groups: append(slices.Clone(snap.Users.Groups(c.User)), c.Groups...),
	}
	in.Assurance, _ = sessions.ParseAssurance(c.Assurance) // the command line has seen to it
	if c.NAS != "" {
		nas := snap.NASByName(c.NAS)
		if nas == nil {
			return nil, fmt.Errorf("--nas %s: there is no such NAS in %s", c.NAS, c.Config)
		}
		in.NASGroup = nas.Group
	}
	return in, nil
}

// running asks the appliance about one of its sessions.
func (c *explainCmd) running() error {
	ctl, err := (&target{Config: c.Config}).dial()
	if err != nil {
		return err
	}
	return ctl.each(http.MethodPost, "/api/v1/explain", nil, map[string]string{"session": c.Session}, func(line []byte) error {
		if c.JSON {
			return printLines(line)
		}
		var answer struct {
			Why         *policy.Why       `json:"why"`
			Explanation authz.Explanation `json:"explanation"`
		}
		if err := decode(line, &answer); err != nil {
			return err
		}
		if answer.Why != nil {
			return c.print(answer.Why)
		}
		return c.print(answer.Explanation)
	})
}

// explanation is what can be shown in both ways.
type explanation interface {
	JSON() string
	Text() string
}

func (c *explainCmd) print(x explanation) error {
	if c.JSON {
		_, err := fmt.Println(x.JSON())
		return err
	}
	_, err := fmt.Print(x.Text())
	return err
}
