package posture

import (
	"strings"
	"time"
)

// library is what is known of products.
type library struct {
	products []libraryProduct
}

type libraryProduct struct {
	name    string // in conditions
	names   string // that endpoints tell contain this
	classes []string
	latest  time.Time // of its definitions
}

func builtIn() *library { return &library{} }

// classes tells products of one class from others.
type classes struct {
	library *library
	class   string
}

func (l *library) class(name string) *classes { return &classes{l, name} }

// has says whether an observation is of the class. A product that the library does not
// know may be.
func (c *classes) has(s subject) bool {
	name := strings.ToLower(s.text(fieldName))
	for i := range c.library.products {
		p := &c.library.products[i]
		if !strings.Contains(name, strings.ToLower(p.names)) {
			continue
		}
		for _, class := range p.classes {
			if class == c.class {
				return true
			}
		}
		return false
	}
	return true
}

// product is what the names of a product contain on endpoints.
func (l *library) product(name string) (string, bool) {
	for i := range l.products {
		if l.products[i].name == name && name != "" {
			return l.products[i].names, true
		}
	}
	return "", false
}

// latest is the date of the newest definitions of a product.
func (l *library) latest(name string) (time.Time, bool) {
	for i := range l.products {
		if p := &l.products[i]; p.name == name && !p.latest.IsZero() {
			return p.latest, true
		}
	}
	return time.Time{}, false
}
