package config

import (
	"bytes"
	"crypto/ed25519"
	_ "embed" // the library that the appliance brings along
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

//go:embed library.yaml
var builtInLibrary []byte

// builtInName stands for it in messages.
const builtInName = "library.yaml (built in)"

// LibraryPrefix stands before the names of a library's conditions.
const LibraryPrefix = "library."

// signatureLine begins a signed library; behind it are the signature and a line end, and
// then the octets that it signs.
const signatureLine = "# sallyport-library ed25519 "

// library reads the library, and puts its conditions beside those of the configuration.
func (l *loader) library() {
	own := &l.config.Posture.Library
	path, text := builtInName, builtInLibrary
	if own.File.Value != "" {
		if own.Key.Value == "" {
			l.fault(own.File.Pos, "posture.library.key", "the library needs the key of whoever signs it", "sallyport library key prints one")
			return
		}
		signed, _, ok := l.read(own.File.Value, own.File.Pos, fileBytesMax)
		if !ok {
			return
		}
		l.source(own.File.Value, signed)
		body, err := OpenLibrary(signed, own.Key.Value)
		if err != nil {
			l.fault(own.Key.Pos, "posture.library", own.File.Value+": "+err.Error(), "sallyport library update checks before it replaces anything")
			return
		}
		path, text = own.File.Value, body
	}
	l.libraryText(path, text)
	for i := range own.Content.Conditions {
		c := own.Content.Conditions[i]
		c.Name.Value = LibraryPrefix + c.Name.Value
		l.config.Posture.Conditions = append(l.config.Posture.Conditions, c)
	}
}

func (l *loader) libraryText(path string, text []byte) {
	root, ok := l.parseText(path, text, false)
	if !ok {
		return
	}
	d := l.decoder()
	d.enter(path, root)
	v := reflect.ValueOf(&l.config.Posture.Library.Content).Elem()
	d.root(root, v)
	d.finish(v, "", Pos{File: path, Line: 1, Column: 1})
}

// OpenLibrary is the text of a signed library whose signature was made with the key that
// belongs to publicKey, base64.
func OpenLibrary(signed []byte, publicKey string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(publicKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("the key is not an Ed25519 public key in base64")
	}
	first, body, ok := bytes.Cut(signed, []byte("\n"))
	text, has := bytes.CutPrefix(bytes.TrimSuffix(first, []byte("\r")), []byte(signatureLine))
	if !ok || !has {
		return nil, errors.New("the file is not signed: its first line is no signature")
	}
	signature, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || !ed25519.Verify(key, body, signature) {
		return nil, errors.New("the signature is not of this key, or the file was changed after it")
	}
	return body, nil
}

// SignLibrary puts a signature before the text of a library.
func SignLibrary(text []byte, key ed25519.PrivateKey) []byte {
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(key, text))
	return append([]byte(signatureLine+signature+"\n"), text...)
}

// ParseLibrary reads the text of a library, opened before, for tools. path stands in
// messages.
func ParseLibrary(path string, text []byte) (*LibraryContent, Faults) {
	l := &loader{lines: map[string][]string{}, included: map[string]Pos{}, config: &Config{File: path}}
	l.libraryText(path, text)
	return &l.config.Posture.Library.Content, l.reported()
}

// BuiltInLibrary is the library that the appliance brings along.
func BuiltInLibrary() *LibraryContent {
	content, _ := ParseLibrary(builtInName, builtInLibrary)
	return content
}

// DiffLibraries says what another version changes, a line each, in the order of names.
func DiffLibraries(old, next *LibraryContent) []string {
	before, after := libraryLines(old), libraryLines(next)
	var out []string
	for name, text := range before {
		switch other, ok := after[name]; {
		case !ok:
			out = append(out, "- "+name+": "+text)
		case other != text:
			out = append(out, "~ "+name+": "+text+" -> "+other)
		}
	}
	for name, text := range after {
		if _, ok := before[name]; !ok {
			out = append(out, "+ "+name+": "+text)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return out
}

// libraryLines are the entries of a library as text, by kind and name.
func libraryLines(c *LibraryContent) map[string]string {
	out := map[string]string{}
	for name, p := range c.Products.All() {
		var classes []string
		for _, class := range p.Classes {
			classes = append(classes, class.Value)
		}
		out["product "+name] = strings.TrimSpace(fmt.Sprintf("%q %s %s", p.Names.Value, strings.Join(classes, ","), p.Latest.Value))
	}
	for name, x := range c.Conditions.All() {
		out["condition "+name] = words(reflect.ValueOf(x).Elem())
	}
	return out
}

// words writes what of a value was given, places left out.
func words(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Text:
		return x.Value
	case Pos:
		return ""
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return words(v.Elem())
	case reflect.Struct:
		var parts []string
		for _, f := range fieldsOf(v.Type()).list {
			if s := words(v.Field(f.index)); s != "" || v.Field(f.index).Kind() == reflect.Pointer && !v.Field(f.index).IsNil() {
				parts = append(parts, f.key+": "+s)
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, words(v.Index(i)))
		}
		return strings.Join(parts, " ")
	}
	if v.IsZero() {
		return ""
	}
	return fmt.Sprint(v.Interface())
}
