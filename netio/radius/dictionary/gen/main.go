// Command gen turns dictionary.txt into Go tables: the attribute numbers of package
// radius, and the names, kinds and values of package dictionary. It is run by
// "go generate" in the dictionary directory.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"go/format"
	"log"
	"os"
	"strconv"
	"strings"
)

type vendor struct {
	word   string
	number uint64
}

type attribute struct {
	name   string
	vendor vendor
	number uint64
	kind   string
	size   uint64
}

type value struct {
	attribute attribute
	name      string
	number    uint64
}

type dictionary struct {
	vendors    []vendor
	attributes []attribute
	values     []value
}

// kinds maps a word of dictionary.txt to the constant of package dictionary.
var kinds = map[string]string{
	"string": "String", "octets": "Octets", "integer": "Integer", "ipaddr": "IPAddr",
	"ipv6addr": "IPv6Addr", "ipv6prefix": "IPv6Prefix", "date": "Date", "vendor": "VendorSpecific",
	"hidden": "Hidden", "salted": "Salted", "tagged-string": "TaggedString", "tagged-integer": "TaggedInteger",
}

func main() {
	log.SetFlags(0)
	files, err := generate("dictionary.txt")
	if err != nil {
		log.Fatal(err)
	}
	for path, source := range files {
		if err := os.WriteFile(path, source, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate makes the files, by their paths as seen from the dictionary directory.
func generate(path string) (map[string][]byte, error) {
	d, err := read(path)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"../attributes.go": d.numbers(), "attributes.go": d.table(), "values.go": d.valueTable()}
	for name, source := range files {
		if files[name], err = format.Source(source); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return files, nil
}

// read parses dictionary.txt; its head describes the form.
func read(path string) (*dictionary, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	d, current := &dictionary{}, vendor{}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "from" {
			continue
		}
		if err := d.line(words, &current); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	return d, lines.Err()
}

func (d *dictionary) line(words []string, current *vendor) error {
	switch {
	case words[0] == "vendor" && len(words) == 3:
		number, err := strconv.ParseUint(words[2], 10, 32)
		*current = vendor{words[1], number}
		d.vendors = append(d.vendors, *current)
		return err
	case words[0] == "value" && len(words) == 4:
		number, err := strconv.ParseUint(words[3], 10, 32)
		for _, a := range d.attributes {
			if a.name == words[1] {
				d.values = append(d.values, value{a, words[2], number})
				return err
			}
		}
		return fmt.Errorf("value of an unknown attribute %s", words[1])
	case len(words) == 3 || len(words) == 4:
		number, err := strconv.ParseUint(words[1], 10, 8)
		if err != nil {
			return err
		}
		a := attribute{name: words[0], vendor: *current, number: number, kind: kinds[words[2]]}
		if a.kind == "" {
			return fmt.Errorf("unknown kind %s", words[2])
		}
		if len(words) == 4 {
			a.size, err = strconv.ParseUint(words[3], 10, 8)
		}
		d.attributes = append(d.attributes, a)
		return err
	}
	return fmt.Errorf("%d words", len(words))
}

const head = "// Code generated from dictionary.txt by go generate; DO NOT EDIT.\n\n"

// numbers is the part that lives in package radius.
func (d *dictionary) numbers() []byte {
	var out bytes.Buffer
	out.WriteString(head + "package radius\n\n// The attribute types, named as the RFCs name them, without hyphens.\nconst (\n")
	for _, a := range d.attributes {
		if a.vendor.number == 0 {
			fmt.Fprintf(&out, "%s Type = %d\n", identifier(a.name), a.number)
		}
	}
	out.WriteString(")\n\n// The vendors, by their enterprise numbers.\nconst (\n")
	for _, v := range d.vendors {
		fmt.Fprintf(&out, "Vendor%s uint32 = %d\n", identifier(v.word), v.number)
	}
	out.WriteString(")\n\n// The vendors' attribute types.\nconst (\n")
	for _, a := range d.attributes {
		if a.vendor.number != 0 {
			fmt.Fprintf(&out, "%s byte = %d\n", identifier(a.name), a.number)
		}
	}
	out.WriteString(")\n\n// The values of enumerated attributes.\nconst (\n")
	for _, v := range d.values {
		if v.attribute.vendor.number == 0 {
			fmt.Fprintf(&out, "%s%s uint32 = %d\n", identifier(v.attribute.name), identifier(v.name), v.number)
		}
	}
	out.WriteString(")\n\nvar typeNames = [256]string{\n")
	for _, a := range d.attributes {
		if a.vendor.number == 0 {
			fmt.Fprintf(&out, "%s: %q,\n", identifier(a.name), a.name)
		}
	}
	out.WriteString("}\n")
	return out.Bytes()
}

func (d *dictionary) table() []byte {
	var out bytes.Buffer
	out.WriteString(head + "package dictionary\n\nvar vendors = [...]vendor{\n")
	for _, v := range d.vendors {
		fmt.Fprintf(&out, "{%q, %d},\n", v.word, v.number)
	}
	out.WriteString("}\n\nvar attributes = [...]Attribute{\n")
	for _, a := range d.attributes {
		fmt.Fprintf(&out, "{%q, %d, %d, %s, %d},\n", a.name, a.vendor.number, a.number, a.kind, a.size)
	}
	out.WriteString("}\n")
	return out.Bytes()
}

func (d *dictionary) valueTable() []byte {
	var out bytes.Buffer
	out.WriteString(head + "package dictionary\n\nvar values = [...]value{\n")
	for _, v := range d.values {
		fmt.Fprintf(&out, "{%d, %d, %q, %d},\n", v.attribute.vendor.number, v.attribute.number, v.name, v.number)
	}
	out.WriteString("}\n")
	return out.Bytes()
}

// identifier makes a Go name of an RFC name: Filter-Id -> FilterID, and so for the
// other initialisms that end in d.
func identifier(name string) string {
	var out strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '.' }) {
		switch word {
		case "Id":
			word = "ID"
		case "Ip":
			word = "IP"
		}
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}
