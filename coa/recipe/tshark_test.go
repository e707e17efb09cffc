package recipe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
)

// TestTsharkDecodesEveryRecipe: an independent program reads every kind of change of every
// recipe out of a capture file, attribute by attribute. It does not check authenticators
// of these requests; FreeRADIUS does, in package coa.
func TestTsharkDecodesEveryRecipe(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed; Debian package tshark has it")
	}
	name, changes := recorded(t)
	var sent []string
	for _, pkt := range changes {
		sent = append(sent, fmt.Sprintf("%d\t%d\t%d", pkt[0], pkt[1], attributes(t, pkt)))
	}
	decoded := tshark(t, program, name, "-T", "fields", "-e", "radius.code", "-e", "radius.id", "-e", "radius.avp.type")
	for i, line := range decoded {
		fields := append(strings.Split(line, "\t"), "", "", "")
		if got := fmt.Sprintf("%s\t%s\t%d", fields[0], fields[1], strings.Count(fields[2], ",")+1); i >= len(sent) || got != sent[i] {
			t.Errorf("packet %d: tshark reads %s", i, got)
		}
	}
	if len(decoded) != len(sent) {
		t.Errorf("tshark reads %d packets of %d", len(decoded), len(sent))
	}
	all := strings.Join(tshark(t, program, name, "-V"), "\n")
	if at := strings.Index(all, "Malformed"); at >= 0 {
		t.Errorf("tshark says: %s", all[max(0, at-600):min(len(all), at+200)])
	}
	for _, want := range []string{"CoA-Request (43)", "Disconnect-Request (40)", "coa-push=true", "subscriber:command=reauthenticate",
		"subscriber:command=bounce-host-port", "Message-Authenticator(80)"} {
		if !strings.Contains(all, want) {
			t.Errorf("tshark does not say %s", want)
		}
	}
}

// recorded is a capture file with every kind of change of every recipe, and the changes.
func recorded(t *testing.T) (name string, changes [][]byte) {
	t.Helper()
	k := radiustest.Key(t, "secret")
	var file bytes.Buffer
	file.Write([]byte{0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 101}) // pcap, raw IP
	for _, r := range recipes {
		for kind := range kinds {
			id, g := sample(), sayable(r, Grant{DACLName: "#ACSACL#-IP-A-57e5bcbd", VLAN: "663", FilterID: "F", GroupPolicy: "G", SessionTimeout: 60})
			b := radius.Begin(nil, r.Change(kind), byte(len(changes)))
			if err := r.AppendChange(&b, kind, &id, &g); err != nil {
				t.Fatal(err)
			}
			pkt, err := k.SealRequest(&b)
			if err != nil {
				t.Fatal(err)
			}
			capture(&file, pkt)
			changes = append(changes, pkt)
		}
	}
	name = filepath.Join(t.TempDir(), "changes.pcap")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name, changes
}

func attributes(t *testing.T, pkt []byte) (n int) {
	t.Helper()
	var v radius.View
	if why := v.Decode(pkt); why != radius.Sound {
		t.Fatal(why)
	}
	for range v.Attrs() {
		n++
	}
	return n
}

// capture appends a packet to a capture file, from a port of ours to 3799.
func capture(file *bytes.Buffer, pkt []byte) {
	n := 28 + len(pkt)
	head := binary.BigEndian.AppendUint32(nil, 0)
	head = binary.BigEndian.AppendUint32(head, 0)
	head = binary.BigEndian.AppendUint32(head, uint32(n))
	head = binary.BigEndian.AppendUint32(head, uint32(n))
	head = append(head, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1)
	head = append(head, 0xc3, 0x50, 3799>>8, 3799&0xff, byte((n-20)>>8), byte(n-20), 0, 0)
	file.Write(append(head, pkt...))
}

func tshark(t *testing.T, program, file string, args ...string) []string {
	t.Helper()
	command := exec.Command(program, append([]string{"-n", "-r", file, "-d", "udp.port==3799,radius"}, args...)...)
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, said.String())
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
}
