package policy

import (
	"strings"

	"sallyport/coa/recipe"
	"sallyport/engine/authz"
	"sallyport/ops/config"
)

// compileRecipes makes the recipes of the configuration. With faults the built-in ones
// stand in, so that the NASes can be looked at all the same.
func compileRecipes(c *config.Config) (*recipe.Book, config.Faults) {
	var definitions []recipe.Definition
	for name, r := range c.Recipes.All() {
		definitions = append(definitions, definition(name, r))
	}
	book, wrong := recipe.Define(definitions)
	if len(wrong) == 0 {
		return book, nil
	}
	var faults config.Faults
	for _, w := range wrong {
		r, _ := c.Recipes.Get(w.Name)
		hint := ""
		if _, word, ok := strings.Cut(w.Message, `"`); ok && len(w.Names) > 0 {
			word, _, _ = strings.Cut(word, `"`)
			hint = config.DidYouMean(word, w.Names)
		}
		faults = append(faults, c.Fault(place(r, w.Field), "recipes."+w.Name+"."+w.Field, w.Message, hint))
	}
	builtIn, _ := recipe.Define(nil)
	return builtIn, faults
}

func definition(name string, r *config.Recipe) recipe.Definition {
	fallback, _ := recipe.ParseFallback(r.Fallback)
	d := recipe.Definition{Name: name, Like: r.Like.Value, Port: uint16(r.Port), NameNAS: r.NameNASBy, Apply: r.Apply,
		Push: values(r.Push), Reauthenticate: values(r.Reauthenticate), Bounce: values(r.Bounce),
		RedirectURL: r.RedirectURL.Value, RedirectACL: r.RedirectACL.Value, DACL: r.DACL.Value, FilterID: r.FilterID.Value,
		GroupPolicy: r.GroupPolicy.Value, VLAN: r.VLAN.Value, Refuses: values(r.Refuses),
		Fallback: fallback, ConfirmWithin: r.ConfirmWithin, InFlightMax: r.InFlight, RateMax: r.Rate}
	for _, way := range r.Find {
		d.Find = append(d.Find, strings.Fields(way.Value))
	}
	return d
}

func values(texts []config.Text) (all []string) {
	for _, t := range texts {
		all = append(all, t.Value)
	}
	return all
}

// place is where the key of a recipe stands, or else the recipe.
func place(r *config.Recipe, field string) config.Pos {
	texts := map[string][]config.Text{"like": {r.Like}, "find": r.Find, "push": r.Push, "reauthenticate": r.Reauthenticate,
		"bounce": r.Bounce, "redirect-url": {r.RedirectURL}, "redirect-acl": {r.RedirectACL}, "dacl": {r.DACL},
		"filter-id": {r.FilterID}, "group-policy": {r.GroupPolicy}, "vlan": {r.VLAN}, "refuses": r.Refuses}[field]
	if len(texts) > 0 && !texts[0].Pos.IsZero() {
		return texts[0].Pos
	}
	return r.Pos
}

// checkRecipes finds profiles that a NAS could not be told, and what would stay in force
// after a push of one profile instead of another. Which profile a NAS gets is decided
// packet by packet, so this warns: the profile may never be for that NAS.
func (s *Snapshot) checkRecipes() (warnings config.Warnings) {
	tried := map[*recipe.Recipe]bool{}
	host := longestHost(s.Config)
	for _, n := range s.nas.list {
		if tried[n.Recipe] {
			continue
		}
		tried[n.Recipe] = true
		grants := map[*authz.Profile]recipe.Grant{}
		for _, p := range s.Authz.Profiles() {
			if p.Reject {
				continue
			}
			url := ""
			if p.Redirect != nil {
				url = strings.Repeat("u", authz.LongestRedirectURL(host, p.Redirect.Portal))
			}
			g := p.Grant(url, nil)
			grants[p] = g
			for _, text := range n.Recipe.Check(&g) {
				warnings = append(warnings, s.Config.Fault(p.Pos, "authorization.profiles."+p.Name,
					"NAS "+n.Name+" cannot be told: "+text, "give it another profile, or another recipe"))
			}
		}
		warnings = append(warnings, s.checkMoves(n, grants)...)
	}
	return warnings
}

// checkMoves finds what of one profile would stay in force after a push of another.
func (s *Snapshot) checkMoves(n *NAS, grants map[*authz.Profile]recipe.Grant) (warnings config.Warnings) {
	used := s.used()
	for _, to := range s.Authz.Profiles() {
		g, ok := grants[to]
		if !ok || !used[to.Name] {
			continue
		}
		said := map[string]bool{}
		for _, from := range s.Authz.Profiles() {
			before, ok := grants[from]
			if !ok || from == to || !used[from.Name] {
				continue
			}
			for _, text := range n.Recipe.CheckMove(&before, &g) {
				if !said[text] {
					said[text] = true
					warnings = append(warnings, s.Config.Fault(to.Pos, "authorization.profiles."+to.Name,
						"NAS "+n.Name+", after "+from.Name+": "+text, ""))
				}
			}
		}
	}
	return warnings
}

// used are the profiles that some rule gives.
func (s *Snapshot) used() map[string]bool {
	c := &s.Config.Authorization
	used := map[string]bool{c.Default.Value: true}
	for _, rules := range [][]config.AuthzRule{c.Exceptions, c.Rules} {
		for i := range rules {
			used[rules[i].Profile.Value] = true
		}
	}
	return used
}
