package devicekey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sallyport/cmd/sallyport-agent/devicekey/swtpmtest"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/netio/report"
)

var quiet = slog.New(slog.DiscardHandler)

// load loads a key that has to be in a certain place, and lets it go at the end.
func load(t testing.TB, dir keep.Dir, kept, device string, in, why string) crypto.Signer {
	t.Helper()
	key, place, err := Load(dir, kept, device, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(key) })
	if place.In != in || !strings.Contains(place.Why, why) || (why == "") != (place.Why == "") {
		t.Fatalf("kept in %+v, want %s because %q", place, in, why)
	}
	trySign(t, key)
	return key
}

func trySign(t testing.TB, key crypto.Signer) {
	t.Helper()
	signature, err := report.Sign(key, "/path", []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	spki, err := report.ParseKey(report.MarshalKey(key.Public().(*ecdsa.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Verify(spki, "/path", []byte("body"), signature); err != nil {
		t.Fatal(err)
	}
}

func same(a, b crypto.Signer) bool { return a.Public().(*ecdsa.PublicKey).Equal(b.Public()) }

func files(dir keep.Dir) string {
	names, _ := filepath.Glob(dir.Path("device.*"))
	for i, n := range names {
		names[i] = filepath.Base(n)
	}
	return strings.Join(names, " ")
}

// TestKeyInTPM: made there once, of use there alone, and for all that a device key does.
func TestKeyInTPM(t *testing.T) {
	tpm, dir := swtpmtest.Start(t), stateDir(t)
	key := load(t, dir, Auto, tpm.Socket(), TPM, "")
	info, err := os.Stat(dir.Path(tpmFile))
	if err != nil || info.Mode().Perm() != 0o600 || files(dir) != tpmFile {
		t.Errorf("%v %v, %s", info.Mode(), err, files(dir))
	}
	for range 8 { // a TPM has room for three
		again, _, err := Load(dir, Auto, tpm.Socket(), quiet)
		if err != nil || !same(again, key) {
			t.Fatalf("another key after a restart: %v", err)
		}
		Close(again)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil || request.CheckSignature() != nil {
		t.Errorf("certificate request: %v", err)
	}
	if _, err := key.Sign(rand.Reader, make([]byte, 48), crypto.SHA384); err == nil {
		t.Error("SHA-384 was signed")
	}

	stolen := stateDir(t)
	copyFile(t, dir.Path(tpmFile), stolen.Path(tpmFile))
	if other := load(t, stolen, Auto, swtpmtest.Start(t).Socket(), TPM, ""); same(other, key) {
		t.Error("another TPM has the key")
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestTPMForgets: a TPM that lost what was loaded gets it again; one that was cleared makes
// a new key at the next start, and until then nothing is signed.
func TestTPMForgets(t *testing.T) {
	tpm, dir := swtpmtest.Start(t), stateDir(t)
	key := load(t, dir, TPM, tpm.Socket(), TPM, "")
	tpm.Off()
	if _, err := report.Sign(key, "/", nil); err == nil || !strings.Contains(err.Error(), "there is no TPM") {
		t.Errorf("without a TPM: %v", err)
	}
	tpm.On()
	trySign(t, key)
	tpm.Off()
	tpm.On()
	trySign(t, key)
	tpm.Clear()
	if _, err := report.Sign(key, "/", nil); !errors.Is(err, errLost) {
		t.Errorf("cleared: %v", err)
	}
	if same(load(t, dir, Auto, tpm.Socket(), TPM, ""), key) {
		t.Error("the key came back")
	}
}

// TestOneTPMForMany: it does one thing at a time.
func TestOneTPMForMany(t *testing.T) {
	tpm, dir := swtpmtest.Start(t), stateDir(t)
	key := load(t, dir, Auto, tpm.Socket(), TPM, "")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				if _, err := report.Sign(key, "/", nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// TestWhereTheKeyIsKept: what there is stays, and what cannot be in the TPM says why.
func TestWhereTheKeyIsKept(t *testing.T) {
	tpm := swtpmtest.Start(t)
	t.Run("no TPM, then one", func(t *testing.T) {
		dir, nowhere := stateDir(t), filepath.Join(t.TempDir(), "tpmrm0")
		if _, _, err := Load(dir, TPM, nowhere, quiet); err == nil || !strings.Contains(err.Error(), "there is no TPM at "+nowhere) || files(dir) != "" {
			t.Fatalf("%v, %s", err, files(dir))
		}
		key := load(t, dir, Auto, nowhere, File, "there is no TPM")
		if !same(load(t, dir, Auto, nowhere, File, "there is no TPM"), key) || !same(load(t, dir, Auto, tpm.Socket(), File, "was there before"), key) {
			t.Error("another key, with a file there")
		}
		moved := load(t, dir, TPM, tpm.Socket(), TPM, "")
		if same(moved, key) {
			t.Error("the file's key is in the TPM")
		}
		if !same(load(t, dir, Auto, tpm.Socket(), TPM, ""), moved) || !same(load(t, dir, File, tpm.Socket(), File, ""), key) {
			t.Error("another key, with both there")
		}
	})
	t.Run("the TPM is away for a while", func(t *testing.T) {
		dir := stateDir(t)
		key := load(t, dir, Auto, tpm.Socket(), TPM, "")
		if same(load(t, dir, Auto, filepath.Join(t.TempDir(), "x"), File, "there is no TPM"), key) {
			t.Error("the key was in the file too")
		}
		if !same(load(t, dir, Auto, tpm.Socket(), TPM, ""), key) {
			t.Error("another key afterwards")
		}
	})
	t.Run("not a device", func(t *testing.T) {
		load(t, stateDir(t), Auto, "/etc/hostname", File, "not a device")
		load(t, stateDir(t), Auto, "/dev/null", File, "storage key")
	})
	t.Run("it has an owner", func(t *testing.T) {
		owned := swtpmtest.Start(t)
		owned.Own("secret")
		load(t, stateDir(t), Auto, owned.Socket(), File, "storage key")
	})
}

// TestTPMThatTalksNonsense: whatever answers, the key is a file then.
func TestTPMThatTalksNonsense(t *testing.T) {
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "tpm")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	answers := make(chan []byte, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			answer := <-answers
			answers <- answer
			_, _ = conn.Write(answer)
			_ = conn.Close()
		}
	}()
	ok := []byte{0x80, 2, 0, 0, 0, 10, 0, 0, 0, 0}
	for name, answer := range map[string][]byte{
		"nothing": nil, "zeros": make([]byte, 64), "an empty success": ok, "ones": bytes.Repeat([]byte{255}, 512),
		"a failure": {0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1}, "a long success": append(append([]byte{}, ok...), make([]byte, 2000)...),
	} {
		answers <- answer
		key, place, err := Load(stateDir(t), Auto, socket, quiet)
		if err != nil || place.In != File || place.Why == "" || key == nil {
			t.Errorf("%s: %+v %v", name, place, err)
		}
		<-answers
	}
}

// TestDamagedTPMFile: as with the other file, nothing is replaced without being told so.
func TestDamagedTPMFile(t *testing.T) {
	tpm, good := swtpmtest.Start(t), stateDir(t)
	load(t, good, Auto, tpm.Socket(), TPM, "")
	text, err := os.ReadFile(good.Path(tpmFile))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	w, err := unwrap(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*wrapped)) string {
		w := w
		w.Public, w.Private = bytes.Clone(w.Public), bytes.Clone(w.Private)
		f(&w)
		der, err := asn1.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: tpmBlock, Bytes: der}))
	}
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by all": {string(text), 0o644, "others may read"},
		"empty":           {"", 0o600, "no PEM block"},
		"another block":   {"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", 0o600, "no PEM block"},
		"not DER":         {"-----BEGIN TSS2 PRIVATE KEY-----\nAA==\n-----END TSS2 PRIVATE KEY-----\n", 0o600, "move it away"},
		"more behind":     {string(pem.EncodeToMemory(&pem.Block{Type: tpmBlock, Bytes: append(bytes.Clone(block.Bytes), 5, 0)})), 0o600, "octets behind"},
		"another kind":    {change(func(w *wrapped) { w.Kind = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 5} }), 0o600, "another kind"},
		"a password":      {change(func(w *wrapped) { w.NoAuth = false }), 0o600, "another kind"},
		"another parent":  {change(func(w *wrapped) { w.Parent = 0x81000001 }), 0o600, "another kind"},
		"no public part":  {change(func(w *wrapped) { w.Public = nil }), 0o600, "move"},
		"half of it":      {change(func(w *wrapped) { w.Public = w.Public[:len(w.Public)/2] }), 0o600, "move"},
	} {
		dir := stateDir(t)
		err := os.WriteFile(dir.Path(tpmFile), []byte(c.text), c.mode)
		if err == nil {
			err = os.Chmod(dir.Path(tpmFile), c.mode)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, place, err := Load(dir, Auto, tpm.Socket(), quiet); err == nil || !strings.Contains(err.Error(), c.want) || files(dir) != tpmFile {
			t.Errorf("%s: %v, %+v, %s", name, err, place, files(dir))
		}
	}
}

// TestTPMRefuses: what it cannot take back is replaced, for nothing else will help.
func TestTPMRefuses(t *testing.T) {
	tpm, dir := swtpmtest.Start(t), stateDir(t)
	key := load(t, dir, Auto, tpm.Socket(), TPM, "")
	for _, private := range [][]byte{nil, {1}, {0, 0}, append([]byte{0, 126}, make([]byte, 126)...)} {
		w := key.(*tpmKey).saved
		w.Private = private
		der, err := asn1.Marshal(w)
		if err == nil {
			err = dir.Write(tpmFile, pem.EncodeToMemory(&pem.Block{Type: tpmBlock, Bytes: der}), keep.Private)
		}
		if err != nil {
			t.Fatal(err)
		}
		Close(key) // it has room for three
		another := load(t, dir, Auto, tpm.Socket(), TPM, "")
		if same(another, key) {
			t.Errorf("%x was taken", private)
		}
		key = another
	}
}

func FuzzSaved(f *testing.F) {
	der, err := asn1.Marshal(wrapped{Kind: loadable, NoAuth: true, Parent: 0x40000001, Public: []byte{0, 1, 2}, Private: []byte{0, 0}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		w, err := unwrap(der)
		if err != nil {
			return
		}
		if public, err := publicOf(w.Public); err == nil && public == nil {
			t.Error("no key and no error")
		}
	})
}

// BenchmarkSign is a signature by a TPM in software.
func BenchmarkSign(b *testing.B) {
	tpm := swtpmtest.Start(b)
	dir, err := keep.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	key := load(b, dir, Auto, tpm.Socket(), TPM, "")
	digest := make([]byte, 32)
	for b.Loop() {
		if _, err := key.Sign(io.Reader(nil), digest, crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}
