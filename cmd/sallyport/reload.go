package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"sallyport/engine"
)

type reloadCmd struct {
	target
	Force bool `help:"However many sessions change: reload.most-changed is passed over."`
	Try   bool `help:"Change nothing, and say for which sessions the configuration decides otherwise."`
	JSON  bool `name:"json" help:"One JSON object."`
}

// Run has the running appliance load its configuration again.
func (c *reloadCmd) Run() error {
	ctl, err := c.dial()
	if err != nil {
		return err
	}
	show := printReloaded
	if c.JSON {
		show = printLines
	}
	return ctl.each(http.MethodPost, "/api/v1/reload", nil, engine.ReloadOptions{Force: c.Force, Try: c.Try}, show)
}

func printReloaded(line []byte) error {
	var r engine.Reloaded
	if err := decode(line, &r); err != nil {
		return err
	}
	var out strings.Builder
	for _, w := range r.Warnings {
		fmt.Fprintln(&out, "warning: "+w)
	}
	word := "In force still"
	if r.Applied {
		word = "In force now"
	}
	fmt.Fprintf(&out, "%s: revision %s\n", word, r.Revision)
	if i := r.Impact; i != nil {
		fmt.Fprintf(&out, "%d of %d sessions change at once, by revision %s\n%s", i.Sessions, i.Events, i.To, i.Groupwise())
	}
	_, err := fmt.Fprint(os.Stdout, out.String())
	return err
}

type shadowCmd struct {
	target
	JSON bool `name:"json" help:"One JSON object."`
}

// Run shows what the shadow configuration found.
func (c *shadowCmd) Run() error {
	ctl, err := c.dial()
	if err != nil {
		return err
	}
	show := printShadow
	if c.JSON {
		show = printLines
	}
	return ctl.each(http.MethodGet, "/api/v1/shadow", nil, nil, show)
}

func printShadow(line []byte) error {
	var v engine.ShadowView
	if err := decode(line, &v); err != nil {
		return err
	}
	text := v.Text()
	if v.Dropped > 0 {
		text += fmt.Sprintf("%d decisions were too many to look at.\n", v.Dropped)
	}
	_, err := fmt.Fprint(os.Stdout, text)
	return err
}
