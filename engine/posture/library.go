package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/ops/config"
)

// library is what is known of products.
type library struct {
	products []libraryProduct
}

type libraryProduct struct {
	name    string // in conditions
	names   string // that endpoints tell contain this, in lower case
	classes []string
	latest  time.Time // of its definitions; zero: not followed
}

// libraryOf takes the products of the library over.
func (c *compiler) libraryOf(content *config.LibraryContent) *library {
	l := &library{}
	for name, p := range content.Products.All() {
		one := libraryProduct{name: name, names: strings.ToLower(p.Names.Value), classes: texts(p.Classes)}
		if p.Latest.Value != "" {
			at, _, ok := parseDate(p.Latest.Value)
			if !ok {
				c.fault(p.Latest.Pos, "library.products."+name+".latest", fmt.Sprintf("%q is not a date", p.Latest.Value), "such as 2026-01-31")
			}
			one.latest = at
		}
		l.products = append(l.products, one)
	}
	return l
}

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
		if p := &c.library.products[i]; strings.Contains(name, p.names) {
			return slices.Contains(p.classes, c.class)
		}
	}
	return true
}

// product is what the names of a product contain on endpoints.
func (l *library) product(name string) (string, bool) {
	for i := range l.products {
		if l.products[i].name == name {
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
