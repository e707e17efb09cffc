package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"sallyport/netio/dup"
	"sallyport/netio/radius"
	"sallyport/netio/report"
	"sallyport/ops/secret"
)

// microTime is how long each operation is repeated.
const microTime = 300 * time.Millisecond

// Micro is what one operation costs, without sockets and without the rest.
type Micro struct {
	Name   string  `json:"name"`
	NS     float64 `json:"ns"`
	Allocs float64 `json:"allocs"`
}

// operation is something to be repeated; run does it so many times.
type operation struct {
	name string
	run  func(times int) error
}

// measured repeats an operation for microTime.
func (o *operation) measured() (Micro, error) {
	if err := o.run(1); err != nil {
		return Micro{}, fmt.Errorf("%s: %w", o.name, err)
	}
	for times := 64; ; times *= 2 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := time.Now()
		err := o.run(times)
		took := time.Since(begun)
		runtime.ReadMemStats(&after)
		if err != nil {
			return Micro{}, fmt.Errorf("%s: %w", o.name, err)
		}
		if took >= microTime {
			n := float64(times)
			return Micro{o.name, float64(took.Nanoseconds()) / n, float64(after.Mallocs-before.Mallocs) / n}, nil
		}
	}
}

// MicroAll measures the parts of the path of a packet and of a report, and writes a
// table or a JSON object a line.
func MicroAll(out io.Writer, asJSON bool) error {
	all, err := operations()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "ns\tallocations\t  \n")
	for i := range all {
		m, err := all[i].measured()
		if err != nil {
			return err
		}
		if asJSON {
			if err := json.NewEncoder(out).Encode(m); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%.1f\t%.4f\t  %s\n", m.NS, m.Allocs, m.Name)
	}
	if asJSON {
		return nil
	}
	return w.Flush()
}

var errUnsound = errors.New("the generator's own packet is not sound")

func operations() ([]operation, error) {
	v, err := newVerifier(secret.New([]byte(Secret)))
	if err != nil {
		return nil, err
	}
	s := &Scenario{Kind: KindAuth, Users: 1000, Sessions: 1000, NASes: 1}
	login, err := newMaker(s, v.key).request(nil, 0, 0, 7)
	if err != nil {
		return nil, err
	}
	s.Kind = KindAccounting
	accounting, err := newMaker(s, v.key).request(nil, 0, 0, 7)
	if err != nil {
		return nil, err
	}
	device, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return []operation{
		{"decode a login", func(times int) error {
			var view radius.View
			for range times {
				if view.Decode(login) != radius.Sound {
					return errUnsound
				}
			}
			return nil
		}},
		{"a login: verify, reveal the password, seal a redirect", answers(v.key, login, true)},
		{"an accounting request: verify, seal the response", answers(v.key, accounting, false)},
		{"a login of 64 whose digests run side by side", batched(v.key, login)},
		{"duplicate cache: a new request and its reply", remembered(false)},
		{"duplicate cache: the reply again", remembered(true)},
		{"verify the signature of a report", verified(device)},
	}, nil
}

// pairs writes what a redirect says.
func pairs(b *radius.Builder) {
	b.Text(radius.Class, redirectClass)
	for _, text := range redirectPairs {
		name, value, _ := strings.Cut(text, "=")
		b.AVPair(name, value)
	}
}

func answers(key *radius.Key, request []byte, login bool) func(int) error {
	reply, password := make([]byte, 0, radius.PacketMax), make([]byte, 0, radius.PasswordMax)
	return func(times int) error {
		var view radius.View
		for range times {
			if view.Decode(request) != radius.Sound || key.VerifyRequest(&view) != radius.Sound {
				return errUnsound
			}
			code := radius.AccountingResponse
			if login {
				code = radius.AccessAccept
				hidden, _ := view.Get(radius.UserPassword)
				if plain, ok := key.RevealPassword(password[:0], hidden, view.Authenticator()); !ok || string(plain) != Password {
					return errUnsound
				}
			}
			b := radius.Begin(reply[:0], code, view.Identifier())
			if login {
				pairs(&b)
			}
			if _, err := key.SealReply(&b, view.Authenticator()); err != nil {
				return err
			}
		}
		return nil
	}
}

// batched does 64 logins at once and counts them one by one.
func batched(key *radius.Key, request []byte) func(int) error {
	const together = 64
	batch := &radius.Batch{}
	var replies [together][]byte
	for i := range replies {
		replies[i] = make([]byte, 0, radius.PacketMax)
	}
	password := make([]byte, 0, radius.PasswordMax)
	return func(times int) error {
		for done := 0; done < times; done += together {
			var views [together]radius.View
			for i := range views {
				views[i].Decode(request)
				batch.Verify(key, &views[i])
				hidden, _ := views[i].Get(radius.UserPassword)
				batch.Reveal(key, hidden, views[i].Authenticator())
			}
			batch.Run()
			for i := range views {
				plain, ok := batch.Password(i, password[:0])
				if batch.Why(i) != radius.Sound || !ok || string(plain) != Password {
					return errUnsound
				}
				b := radius.Begin(replies[i][:0], radius.AccessAccept, views[i].Identifier())
				pairs(&b)
				if _, err := batch.Seal(key, &b, views[i].Authenticator()); err != nil {
					return err
				}
			}
			batch.Run()
			batch.Reset()
		}
		return nil
	}
}

func remembered(again bool) func(int) error {
	cache := dup.NewCache(dup.Config{})
	from := netip.AddrPortFrom(nasSource(0), 1812)
	reply, kept := make([]byte, 280), make([]byte, 0, dup.ReplyMax)
	now, n := time.Now(), uint64(0)
	return func(times int) error {
		for range times {
			if !again || n == 0 {
				n++
			}
			authenticator := [16]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
			verdict, token, _ := cache.Check(now, from, 0, byte(n), &authenticator, kept)
			switch {
			case verdict.Process():
				token.Complete(now, reply)
			case !again || verdict != dup.Replay:
				return fmt.Errorf("the verdict is %s", verdict)
			}
		}
		return nil
	}
}

func verified(device *ecdsa.PrivateKey) func(int) error {
	body := make([]byte, 800)
	return func(times int) error {
		signature, err := report.Sign(device, report.PathReport, body)
		if err != nil {
			return err
		}
		spki, err := report.ParseKey(report.MarshalKey(&device.PublicKey))
		for range times {
			if err == nil {
				err = report.Verify(spki, report.PathReport, body, signature)
			}
		}
		return err
	}
}
