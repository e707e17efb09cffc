package store

import (
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"sallyport/sessions"
)

// The kinds of field: each ties a number to a place in the record.

func appendNumber(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func u64(n protowire.Number, at func(*sessions.Session) *uint64) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte { return appendNumber(b, n, *at(s)) },
		func(s *sessions.Session, v value) error { return number(v, func(x uint64) { *at(s) = x }) }}
}

func u32(n protowire.Number, at func(*sessions.Session) *uint32) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte {
			return appendNumber(b, n, uint64(*at(s)))
		},
		func(s *sessions.Session, v value) error { return number(v, func(x uint64) { *at(s) = uint32(x) }) }}
}

func small[T ~uint8](n protowire.Number, at func(*sessions.Session) *T) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte {
			return appendNumber(b, n, uint64(*at(s)))
		},
		func(s *sessions.Session, v value) error { return number(v, func(x uint64) { *at(s) = T(x) }) }}
}

func flag(n protowire.Number, at func(*sessions.Session) *bool) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte {
			return appendNumber(b, n, protowire.EncodeBool(*at(s)))
		},
		func(s *sessions.Session, v value) error { return number(v, func(x uint64) { *at(s) = x != 0 }) }}
}

// moment writes the zero time as no field at all; zig-zag, since 1969 is a time too.
func moment(n protowire.Number, at func(*sessions.Session) *time.Time) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte {
			t := *at(s)
			if t.IsZero() {
				return b
			}
			return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), protowire.EncodeZigZag(t.UnixNano()))
		},
		func(s *sessions.Session, v value) error {
			return number(v, func(x uint64) { *at(s) = time.Unix(0, protowire.DecodeZigZag(x)).UTC() })
		}}
}

func text(n protowire.Number, at func(*sessions.Session) *string) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte {
			if *at(s) == "" {
				return b
			}
			return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), *at(s))
		},
		func(s *sessions.Session, v value) error { return bytesOf(v, func(x []byte) { *at(s) = string(x) }) }}
}

func octets(n protowire.Number, at func(*sessions.Session) *[]byte) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte {
			if len(*at(s)) == 0 {
				return b
			}
			return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), *at(s))
		},
		func(s *sessions.Session, v value) error {
			return bytesOf(v, func(x []byte) { *at(s) = append([]byte(nil), x...) })
		}}
}

// texts repeats the field, one for each string.
func texts(n protowire.Number, at func(*sessions.Session) *[]string) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte {
			for _, t := range *at(s) {
				b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), t)
			}
			return b
		},
		func(s *sessions.Session, v value) error {
			return bytesOf(v, func(x []byte) { *at(s) = append(*at(s), string(x)) })
		}}
}

// addr is 4 or 16 octets; the zero Addr is no field at all.
func addr(n protowire.Number, at func(*sessions.Session) *netip.Addr) field {
	return field{n,
		func(b []byte, n protowire.Number, s *sessions.Session) []byte {
			a := *at(s)
			switch {
			case a.Is4():
				o := a.As4()
				return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), o[:])
			case a.Is6():
				o := a.As16()
				return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), o[:])
			}
			return b
		},
		func(s *sessions.Session, v value) error {
			a, ok := netip.AddrFromSlice(v.octets)
			if !ok {
				return errKind
			}
			*at(s) = a
			return nil
		}}
}

func number(v value, set func(uint64)) error {
	if v.octets != nil {
		return errKind
	}
	set(v.number)
	return nil
}

func bytesOf(v value, set func([]byte)) error {
	if v.octets == nil {
		return errKind
	}
	set(v.octets)
	return nil
}
