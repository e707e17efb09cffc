package config

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestIncludesComeFirst: lists grow in the order of reading, an include before the file
// that names it; paths are relative to the file that they stand in.
func TestIncludesComeFirst(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, `-- sallyport.yaml --
include: [a.yaml, more/b.yaml]
appliance: {name: posture.example.com}
authorization:
  rules: [{rule: last, when: "true", profile: PermitAccess}]
  profiles: {Last: {vlan: 1}}
-- a.yaml --
authorization:
  rules: [{rule: first, when: "true", profile: PermitAccess}]
  profiles: {First: {vlan: 1}}
-- more/b.yaml --
include: [c.yaml]
authorization: {rules: [{rule: third, when: "true", profile: PermitAccess}]}
identity: {stores: [{name: internal, users-file: users.yaml}]}
-- more/c.yaml --
authorization: {rules: [{rule: second, when: "true", profile: PermitAccess}]}
-- more/users.yaml --
cisco: {password: "$2b$10$x"}
`)
	c, _, faults := Load(filepath.Join(dir, "sallyport.yaml"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	var rules, files []string
	for _, r := range c.Authorization.Rules {
		rules = append(rules, r.Rule.Value)
	}
	for _, s := range c.Sources {
		name, _ := filepath.Rel(dir, s.Path)
		files = append(files, name)
	}
	if !slices.Equal(rules, []string{"first", "second", "third", "last"}) {
		t.Errorf("rules %v", rules)
	}
	if !slices.Equal(c.Authorization.Profiles.Names(), []string{"First", "Last"}) {
		t.Errorf("profiles %v", c.Authorization.Profiles.Names())
	}
	if len(c.Identity.Stores[0].Users) != 1 {
		t.Errorf("users %v", c.Identity.Stores[0].Users)
	}
	if !slices.Equal(files, []string{"sallyport.yaml", "a.yaml", "more/b.yaml", "more/c.yaml", "more/users.yaml"}) {
		t.Errorf("files %v", files)
	}
}
