package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"sallyport/engine/authz"
	"sallyport/engine/policy"
	"sallyport/sessions"
)

type explainCmd struct {
	Config  string `help:"Configuration file." default:"${config}" placeholder:"FILE"`
	JSON    bool   `name:"json" help:"One JSON object."`
	Session string `help:"Explain a session of the running appliance instead of the facts below." placeholder:"ID"`

	User        string   `help:"User name; the groups come from its store." group:"Facts"`
	Groups      []string `help:"Groups, besides the store's." group:"Facts"`
	NAS         string   `name:"nas" help:"Name of a NAS." group:"Facts"`
	OS          string   `name:"os" enum:",windows,linux,macos" default:"" help:"windows, linux or macos." group:"Facts"`
	Posture     string   `default:"Pending" help:"Posture status." group:"Facts"`
	Method      string   `default:"pap" help:"pap, mab or authorize-only." group:"Facts"`
	Assurance   string   `enum:"none,address-mac,ticket" default:"none" help:"Strength of the agent's binding." group:"Facts"`
	MAC         string   `name:"mac" help:"MAC of the endpoint." group:"Facts"`
	TunnelGroup string   `help:"Tunnel group of a VPN." group:"Facts"`
	PortType    string   `help:"NAS-Port-Type, such as Virtual or Ethernet." group:"Facts"`
	Unauthentic bool     `help:"The credentials were not right." group:"Facts"`
}

// Run explains.
func (c *explainCmd) Run() error {
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
	return c.print(snap.Authz.Explain(in))
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
	for a := sessions.Unbound; a <= sessions.Ticket; a++ {
		if a.String() == c.Assurance {
			in.Assurance = a
		}
	}
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
			Explanation authz.Explanation `json:"explanation"`
		}
		if err := json.Unmarshal(line, &answer); err != nil {
			return fmt.Errorf("an answer that is not JSON: %w", err)
		}
		return c.print(answer.Explanation)
	})
}

func (c *explainCmd) print(x authz.Explanation) error {
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(x)
	}
	_, err := fmt.Print(x.Text())
	return err
}
