package coatest

import (
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
)

// random are the octets that differ from run to run.
var random = regexp.MustCompile(`^(Message-Authenticator) = .*`)

// TestStory plays commands and compares what the ASA says it did, step by step.
func TestStory(t *testing.T) {
	radiustest.Golden(t, "testdata/story.txt", func(t *testing.T, input []string) string {
		var mu sync.Mutex
		var out strings.Builder
		note := func(s Step) {
			mu.Lock()
			defer mu.Unlock()
			out.WriteString(strings.Join(strings.Fields(string(s.Direction)+" "+s.Packet+"  "+s.Note), " ") + "\n")
			for _, line := range s.Attributes {
				out.WriteString("\t" + random.ReplaceAllString(line, "$1 = …") + "\n")
			}
		}
		srv := newServer(t)
		p := player{t: t, server: srv, asa: newASA(t, srv, func(c *ASAConfig) {
			c.Log = note
			c.MessageAuthenticator = input[0] == "newer"
		})}
		for _, line := range input {
			p.play(strings.Fields(line))
		}
		p.asa.Close()
		return out.String()
	})
}

type player struct {
	t       *testing.T
	server  *server
	asa     *ASA
	session *ASASession
}

func (p *player) play(words []string) {
	t := p.t
	switch words[0] {
	case "newer":
	case "login":
		var err error
		p.session, err = p.asa.Login(soon(t), words[1], "cisco", Endpoint{PublicIP: netip.MustParseAddr("10.62.145.44"),
			MAC: "00:50:56:AA:BB:CC", MACs: []string{"00:50:56:AA:BB:CC", "00:50:56:AA:BB:CD"}, Platform: "win",
			PlatformVersion: "10.0.19044", Type: "VMware, Inc. VMware Virtual Platform", UserAgent: "AnyConnect Windows 4.10.04065"})
		if err != nil && words[1] != "mallory" {
			t.Fatal(err)
		}
	case "get":
		p.get(words[1])
	case "redirect":
		p.server.tell(p.asa, p.server.change(radius.CoARequest, p.session, func(b *radius.Builder) {
			b.AVPair("url-redirect-acl", "ACL_WEBAUTH_REDIRECT")
			b.AVPair("url-redirect", portal)
		}))
	case "dacl":
		p.server.tell(p.asa, p.server.change(radius.CoARequest, p.session, func(b *radius.Builder) {
			b.Text(radius.Class, "CACS:1")
			b.AVPair("ACS:CiscoSecure-Defined-ACL", aclName)
		}))
		if err := p.session.WaitFor(soon(t), func(a Access) bool { return a.DACLName == aclName }); err != nil {
			t.Fatal(err)
		}
	case "disconnect":
		p.server.tell(p.asa, p.server.change(radius.DisconnectRequest, p.session, func(*radius.Builder) {}))
	case "interim":
		if err := p.session.Interim(soon(t)); err != nil {
			t.Fatal(err)
		}
	case "logout":
		if err := p.session.Logout(soon(t)); err != nil {
			t.Fatal(err)
		}
	case "reboot":
		if err := p.asa.Reboot(soon(t)); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("unknown command %q", words)
	}
}

func (p *player) get(path string) {
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(soon(p.t), http.MethodGet, strings.TrimSuffix(p.asa.RedirectURL(), "/")+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Host = "enroll.example.com"
	got, err := client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	io.Copy(io.Discard, got.Body)
	got.Body.Close()
	if (got.StatusCode == http.StatusFound) != (got.Header.Get("Location") == portal) {
		p.t.Errorf("GET %s: %s, Location %q", path, got.Status, got.Header.Get("Location"))
	}
}
