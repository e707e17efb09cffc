package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"sallyport/ops/secret"
)

// Lengths of a shared secret in octets. RFC 2865 section 3 prefers at least 16; guesses
// against a captured packet are offline and fast, so 24 random ones are advised.
const (
	secretWarnMax = 12
	secretAdvised = 24
)

// secretForm is the only way to write a secret: where it is, never what it is.
type secretForm struct {
	Pos  Pos
	File Path `key:"file"`
	Env  Text `key:"env"`
}

func decodeSecret(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	if !isMapping(n) {
		d.fault(d.pos(n), path, "a secret may not be written here", "put it into a file and write {file: NAME}, or {env: NAME} for an environment variable")
		return
	}
	var form secretForm
	before := len(d.faults)
	d.fields(n, reflect.ValueOf(&form).Elem(), path)
	if len(d.faults) > before {
		return
	}
	var value []byte
	switch {
	case form.File.Value != "" && form.Env.Value != "":
		d.fault(form.Pos, path, "both file and env are given", "give one of them")
		return
	case form.File.Value != "":
		text, mode, ok := d.read(form.File.Value, form.File.Pos, secretBytesMax)
		if !ok {
			return
		}
		if mode.Perm()&0o077 != 0 {
			d.warn(form.File.Pos, path, fmt.Sprintf("others than its owner may read %s (mode %04o)", form.File.Value, mode.Perm()), "chmod 600")
		}
		value = trimNewline(text)
		if len(value) == 0 {
			d.fault(form.File.Pos, path, form.File.Value+" is empty", "write the secret into it, on one line")
			return
		}
	case form.Env.Value != "":
		value = []byte(os.Getenv(form.Env.Value))
		if len(value) == 0 {
			d.fault(form.Env.Pos, path, "the environment variable "+form.Env.Value+" is not set or empty", "set it where the appliance is started")
			return
		}
	default:
		d.fault(d.pos(n), path, "the secret names neither a file nor a variable", "write {file: NAME} or {env: NAME}")
		return
	}
	if len(value) <= secretWarnMax {
		d.warn(form.Pos, path, fmt.Sprintf("the secret has %d octets and can be guessed from one captured packet", len(value)), fmt.Sprintf("use %d random characters or more", secretAdvised))
	}
	v.Set(reflect.ValueOf(secret.New(value)))
}

// trimNewline drops the one line end that editors add.
func trimNewline(b []byte) []byte {
	s := strings.TrimSuffix(string(b), "\n")
	return []byte(strings.TrimSuffix(s, "\r"))
}
