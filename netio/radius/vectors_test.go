package radius_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/netio/radius/radiustest"
)

var roles = map[string]radius.Role{
	"auth": radius.AuthServer, "acct": radius.AcctServer, "coa-client": radius.CoAClient,
	"coa-server": radius.CoAServer, "auth-client": radius.AuthClient, "acct-client": radius.AcctClient,
}

// TestVectors runs the packets of testdata: what they say, or why they are dropped
// (RFC 2865 section 3 and 5, RFC 5176 section 2.3, RFC 5997 section 6).
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.vec")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d vector files, %v", len(files), err)
	}
	for _, file := range files {
		var last radius.Authenticator // of the last request
		radiustest.Golden(t, file, func(t *testing.T, input []string) string {
			pkt, err := radiustest.Octets(input[1:])
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			command, argument, _ := strings.Cut(input[0], " ")
			switch command {
			case "gate":
				n, why := radius.Gate(pkt, roles[argument])
				if why != radius.Sound {
					return "error: " + why.String()
				}
				return fmt.Sprintf("%s, %d octets", radius.Code(pkt[0]), n)
			case "decode":
				return decoded(pkt)
			case "request", "reply":
				return verified(t, command, radiustest.Key(t, argument), pkt, &last)
			}
			t.Fatalf("%s: unknown command %s", file, command)
			return ""
		})
	}
}

func decoded(pkt []byte) string {
	var v radius.View
	if why := v.Decode(pkt); why != radius.Sound {
		return "error: " + why.String()
	}
	return dictionary.Format(&v)
}

func verified(t *testing.T, command string, k *radius.Key, pkt []byte, last *radius.Authenticator) string {
	var v radius.View
	if why := v.Decode(pkt); why != radius.Sound {
		return "error: " + why.String()
	}
	if command == "reply" {
		if why := k.VerifyResponse(&v, *last); why != radius.Sound {
			return "error: " + why.String()
		}
		return dictionary.Format(&v)
	}
	*last = v.Authenticator()
	if why := k.VerifyRequest(&v); why != radius.Sound {
		return "error: " + why.String()
	}
	words := dictionary.Format(&v)
	if hidden, ok := v.Get(radius.UserPassword); ok {
		plain, ok := k.RevealPassword(nil, hidden, v.Authenticator())
		words += fmt.Sprintf("password %q %v\n", plain, ok)
		again, ok := k.HidePassword(nil, plain, v.Authenticator())
		if !ok || string(again) != string(hidden) {
			t.Errorf("hidden again: %x, want %x", again, hidden)
		}
	}
	return words
}
