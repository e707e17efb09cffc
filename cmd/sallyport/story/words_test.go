package story

import (
	"strings"
	"testing"
	"time"

	"sallyport/coa/coatest"
)

// TestSides: each side has its share of the line, and what one does not need is the
// other's.
func TestSides(t *testing.T) {
	long := strings.Repeat("x", 100)
	for name, c := range map[string]struct {
		width, room    int
		sent, answered string
		want           string
	}{
		"no terminal":    {0, 0, long, long, long + "  =>  " + long},
		"both fit":       {80, 60, "ask", "answer", "ask  =>  answer"},
		"long answer":    {40, 26, "ask", long, "ask  =>  xxxxxxxxxxxxxxxx…"},
		"long question":  {40, 26, long, "yes", "xxxxxxxxxxxxxxxx…  =>  yes"},
		"both long":      {40, 26, long, long, "xxxxxxx…  =>  xxxxxxxxxxx…"},
		"narrow":         {20, -10, long, long, "xxxxxxx…  =>  xxxxxxxxxxx…"},
		"other alphabet": {40, 26, strings.Repeat("é", 30), "éééé", strings.Repeat("é", 15) + "…  =>  éééé"},
	} {
		t.Run(name, func(t *testing.T) {
			p := printer{width: c.width}
			if got := p.sides(seen{sent: c.sent, answered: c.answered}, c.room); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestAwaitLooksBack: what arrives late counts by when it happened, and a wait ends
// with the reason of its context.
func TestAwaitLooksBack(t *testing.T) {
	j, begun := newJournal(), time.Now()
	any := func(*event) bool { return true }
	go func() {
		j.add(event{at: begun.Add(-time.Second)})
		j.add(event{at: begun.Add(time.Second)})
	}()
	if e, err := j.await(t.Context(), begun, any); err != nil || !e.at.After(begun) {
		t.Errorf("%v %v", e, err)
	}
	if e, err := j.await(t.Context(), begun.Add(-time.Hour), any); err != nil || e.at.After(begun) {
		t.Errorf("%v %v", e, err)
	}
}

// TestPacketWords: what the story is about comes first, and what says nothing is left out.
func TestPacketWords(t *testing.T) {
	for want, attributes := range map[string][]string{
		"Access-Accept": {"Message-Authenticator = 0x00", "Event-Timestamp = 2016-03-11T14:57:55Z"},
		"Access-Accept (User-Name=cisco, url-redirect-acl=A, url-redirect=U, Class=c, NAS-Port=7)": {`Class = "c"`, "Message-Authenticator = 0x00",
			`Cisco-AVPair = "url-redirect=U"`, `Cisco-AVPair = "url-redirect-acl=A"`, `Cisco-AVPair = "mdm-tlv=device-mac=x"`, "NAS-Port = 7", `User-Name = "cisco"`},
	} {
		if got := packetWords(&coatest.Step{Packet: "Access-Accept", Attributes: attributes}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
