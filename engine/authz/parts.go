package authz

import (
	"fmt"
	"reflect"
	"slices"

	"sallyport/ops/config"
)

// composed is a profile with what its parts say. What it says itself comes first; two
// parts that say different things of one key leave it open which was meant, and are a
// fault. Attributes of different names come together.
func (c *compiler) composed(name string, written *config.Profile) *config.Profile {
	if len(written.Use) == 0 {
		return written
	}
	out := *written
	out.Use, out.Attributes = nil, slices.Clone(written.Attributes)
	from := map[string]string{} // key or attribute: the part that said it
	for i, use := range written.Use {
		path := fmt.Sprintf("profiles.%s.use[%d]", name, i)
		c.parts[use.Value] = true
		part, ok := c.in.Parts.Get(use.Value)
		if !ok {
			c.fault(use.Pos, path, fmt.Sprintf("there is no part %q", use.Value), config.DidYouMean(use.Value, c.in.Parts.Names()))
			continue
		}
		if len(part.Use) > 0 {
			c.fault(part.Use[0].Pos, "parts."+use.Value+".use", "a part has no parts", "name them in the profile")
		}
		c.take(&out, written, part, use, path, from)
	}
	return &out
}

// take adds to out what a part says and the profile itself does not.
func (c *compiler) take(out, own, part *config.Profile, use config.Text, path string, from map[string]string) {
	to, mine, have := reflect.ValueOf(out).Elem(), reflect.ValueOf(own).Elem(), reflect.ValueOf(part).Elem()
	for i := range have.NumField() {
		key := have.Type().Field(i).Tag.Get("key")
		if key == "" || key == "use" || key == "attributes" || have.Field(i).IsZero() || !mine.Field(i).IsZero() {
			continue
		}
		if other, said := from[key]; said && !sameValue(to.Field(i), have.Field(i)) {
			c.fault(use.Pos, path, fmt.Sprintf("the parts %s and %s both say %s, and not the same", other, use.Value, key), "write "+key+" in the profile itself, which comes first")
			continue
		}
		from[key] = use.Value
		to.Field(i).Set(have.Field(i))
	}
	for _, a := range part.Attributes {
		named := func(b config.Attribute) bool { return b.Name.Value == a.Name.Value }
		other, said := from["attribute "+a.Name.Value]
		switch {
		case slices.ContainsFunc(own.Attributes, named):
		case said:
			c.fault(use.Pos, path, fmt.Sprintf("the parts %s and %s both give %s", other, use.Value, a.Name.Value), "write the attribute in the profile itself, with all its values")
		default:
			from["attribute "+a.Name.Value] = use.Value
			out.Attributes = append(out.Attributes, a)
		}
	}
}

// sameValue compares two values of a key, wherever they were written.
func sameValue(a, b reflect.Value) bool {
	if x, ok := a.Interface().(config.Text); ok {
		y, _ := b.Interface().(config.Text)
		return x.Value == y.Value
	}
	if x, ok := a.Interface().(*config.Redirect); ok {
		y, _ := b.Interface().(*config.Redirect)
		return x.Portal.Value == y.Portal.Value && x.ACL.Value == y.ACL.Value
	}
	return a.Interface() == b.Interface()
}

// lintNamed warns of parts and conditions that nothing uses.
func (c *compiler) lintNamed() {
	for name, part := range c.in.Parts.All() {
		if !c.parts[name] {
			c.warn(part.Pos, "parts."+name, fmt.Sprintf("no profile uses the part %q", name), config.DidYouMean(name, nil))
		}
	}
	for i := range c.in.Conditions {
		if name := c.in.Conditions[i].Name; !c.used[name.Value] {
			c.warn(name.Pos, "conditions."+name.Value, fmt.Sprintf("no authorization rule uses condition.%s", name.Value), "")
		}
	}
}
