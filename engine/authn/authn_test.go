package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sallyport/ops/clock"
	"sallyport/ops/config"
)

// quick is a hash with parameters that do not slow the tests down.
const quickPassword = "cisco"

func quickHash(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func users(t testing.TB, list ...config.User) *Users {
	t.Helper()
	u, faults := NewUsers(&config.Identity{Stores: []config.Store{{Name: config.Text{Value: "internal"}, Users: list}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	m := NewMemory(1000)
	t.Cleanup(m.Close)
	u.Remember(m)
	return u
}

func one(name, hash string) config.User {
	return config.User{Name: name, Password: config.Text{Value: hash}, Groups: []string{"employees"}}
}

func TestHashRoundTrip(t *testing.T) {
	h, err := Hash([]byte("hello world"))
	if err != nil || CheckHash(h) != nil {
		t.Fatal(h, err, CheckHash(h))
	}
	parsed, err := parseHash(h)
	if err != nil || !parsed.verify([]byte("hello world")) || parsed.verify([]byte("hello worlD")) || parsed.work != workDefault {
		t.Fatal("verify", err)
	}
	if again, _ := Hash([]byte("hello world")); again == h {
		t.Fatal("two hashes have the same salt")
	}
	for _, bad := range []string{"", strings.Repeat("x", 129), "a\x00"} {
		if _, err := Hash([]byte(bad)); err == nil {
			t.Errorf("%d octets were hashed", len(bad))
		}
	}
}

// TestCheckHash: each message says what is wrong; a hash that would eat the machine is refused.
func TestCheckHash(t *testing.T) {
	const salt, sum = "c2FsdHNhbHRzYWx0c2FsdA", "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
	for text, want := range map[string]string{
		"":                                       "begins with $argon2id$",
		"secret":                                 "begins with $argon2id$",
		"$argon2i$v=19$m=1,t=1,p=1$a$b":          "begins with $argon2id$",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt: "cut short",
		"$argon2id$v=19$m=19456,t=2$a$b":         `"", want p=1 to 16`,
		"$argon2id$v=16$m=1,t=1,p=1$a$b":         "another version",
		"$argon2id$v=19$m=9999999,t=1,p=1$" + salt + "$" + sum:     `"m=9999999", want m=1 to 262144`,
		"$argon2id$v=19$m=262144,t=5,p=1$" + salt + "$" + sum:      "more work",
		"$argon2id$v=19$m=99999999999,t=1,p=1$" + salt + "$" + sum: "want m=1 to 262144",
		"$argon2id$v=19$m=64,t=65,p=1$" + salt + "$" + sum:         "want t=1 to 64",
		"$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + sum:          "want t=1 to 64",
		"$argon2id$v=19$m=64,t=1,p=17$" + salt + "$" + sum:         "want p=1 to 16",
		"$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + sum:           "at least 8",
		"$argon2id$v=19$m=19456,t=2,p=1,x=1$" + salt + "$" + sum:   "after the parameters",
		"$argon2id$v=19$m=19456,t=2,p=1,$" + salt + "$" + sum:      "after the parameters",
		"$argon2id$v=19$t=2,m=19456,p=1$" + salt + "$" + sum:       "want m=",
		"$argon2id$v=19$m=19456,t=2,p=1$!$" + sum:                  "the salt",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$aa":           "the hash is not",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum + "=": "the hash is not",
		"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("a", 300):  "characters, at most 256",
		"$2b$31$" + strings.Repeat("a", 53):                        `bcrypt cost "31", want 04 to 14`,
		"$2b$03$" + strings.Repeat("a", 53):                        "bcrypt cost",
		"$2b$1x$" + strings.Repeat("a", 53):                        "bcrypt cost",
		"$2b$10$" + strings.Repeat("a", 52) + "+":                  "does not use",
		"$2b$10$short":                       "12 characters, want 60",
		"$1$abcdefgh$abcdefghijklmnopqrstuv": "begins with $argon2id$",
	} {
		err := CheckHash(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "hash-password") {
			t.Errorf("%s: %v, want %q and the way out", text, err, want)
		}
		if err != nil && len(text) > 40 && strings.Contains(err.Error(), text) {
			t.Errorf("the message shows the hash: %v", err)
		}
	}
	for _, good := range []string{
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=262144,t=4,p=4$" + salt + "$" + sum,
		decoy(workDefault).text, decoy(work{bcrypt: 12}).text,
	} {
		if err := CheckHash(good); err != nil {
			t.Error(good, err)
		}
	}
}

// TestHashesOfOthers: what other programs make is verified: a test vector of the argon2
// reference implementation, and bcrypt under each of its names.
func TestHashesOfOthers(t *testing.T) {
	for _, c := range []struct{ text, password string }{
		{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
	} {
		h, err := parseHash(c.text)
		if err != nil || !h.verify([]byte(c.password)) || h.verify([]byte(c.password+"x")) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		h, err := parseHash(prefix + quickHash(t, "cisco")[4:])
		if err != nil || !h.verify([]byte("cisco")) || h.verify([]byte("Cisco")) {
			t.Error(prefix, err)
		}
	}
}

// TestUnknownUserCostsTheSame: the hash for names that nobody has takes the work of most
// users' hashes, by count and not by clock, and no password opens it.
func TestUnknownUserCostsTheSame(t *testing.T) {
	small := work{memory: 64, passes: 1, lanes: 1}
	argon := func() string { return decoy(small).text }
	cheap := work{bcrypt: bcrypt.MinCost}
	for _, c := range []struct {
		hashes []string
		want   work
	}{
		{nil, workDefault},
		{[]string{argon()}, small},
		{[]string{argon(), quickHash(t, "a"), quickHash(t, "b")}, cheap},
		{[]string{argon(), quickHash(t, "a")}, cheap},
		{[]string{argon(), decoy(work{memory: 128, passes: 1, lanes: 1}).text}, work{memory: 128, passes: 1, lanes: 1}},
	} {
		var list []config.User
		for i, h := range c.hashes {
			list = append(list, one("u"+strconv.Itoa(i), h))
		}
		u := users(t, list...)
		if u.nobody.work != c.want {
			t.Errorf("%v: %+v, want %+v", c.hashes, u.nobody.work, c.want)
		}
		if _, got := u.Verify("nobody", []byte("x")); got != UnknownUser || u.Hashes() != 1 {
			t.Errorf("%v: %v after %d hashes", c.hashes, got, u.Hashes())
		}
	}
}

// TestBadHashIsAFault: at the place of the password, with the way out.
func TestBadHashIsAFault(t *testing.T) {
	bad := one("bob", "hunter2")
	bad.Password.Pos = config.Pos{File: "users.yaml", Line: 3, Column: 17}
	_, faults := NewUsers(&config.Identity{Stores: []config.Store{{Users: []config.User{one("cisco", quickHash(t, "x")), bad}}}})
	if len(faults) != 1 || faults[0].Pos.Line != 3 || faults[0].Hint != makeOne || strings.Contains(faults.Error(), "hunter2") {
		t.Fatal(faults)
	}
}

func TestOutcomes(t *testing.T) {
	disabled := one("old", quickHash(t, "x"))
	disabled.Disabled = true
	u := users(t, one("cisco", quickHash(t, quickPassword)), disabled)
	for _, c := range []struct {
		name, password string
		want           Outcome
	}{{"cisco", quickPassword, OK}, {"cisco", "Cisco", WrongPassword}, {"cisco", "", WrongPassword},
		{"nobody", quickPassword, UnknownUser}, {"old", "x", Disabled}, {"old", "y", WrongPassword}, {"", "", UnknownUser}} {
		before := u.Hashes()
		id, got := u.Verify(c.name, []byte(c.password))
		if got != c.want || (got == OK) != (id.User == c.name && id.User != "") {
			t.Errorf("%s/%s: %v %+v, want %v", c.name, c.password, got, id, c.want)
		}
		if u.Hashes() != before+1 {
			t.Errorf("%s/%s: %d hashes were run, want one whatever the outcome", c.name, c.password, u.Hashes()-before)
		}
	}
}

// TestRememberedIsBoundToTheHash: only the right password is remembered, and a new hash,
// a disabled or a removed user forgets it at once.
func TestRememberedIsBoundToTheHash(t *testing.T) {
	u := users(t, one("cisco", quickHash(t, quickPassword)))
	if _, got := u.Remembered("cisco", []byte(quickPassword)); got != NotRemembered {
		t.Fatal("remembered before it was verified")
	}
	u.Verify("cisco", []byte("wrong"))
	u.Verify("cisco", []byte(quickPassword))
	u.memory.Wait()
	if id, got := u.Remembered("cisco", []byte(quickPassword)); got != OK || id.Store != "internal" || len(id.Groups) != 1 {
		t.Fatal(got, id)
	}
	for _, wrong := range []string{"wrong", "", quickPassword + "\x00", "Cisco"} {
		if _, got := u.Remembered("cisco", []byte(wrong)); got != NotRemembered {
			t.Errorf("%q is remembered", wrong)
		}
	}
	changed := users(t, one("cisco", quickHash(t, quickPassword)))
	changed.Remember(u.memory)
	if _, got := changed.Remembered("cisco", []byte(quickPassword)); got != NotRemembered {
		t.Error("a new hash is taken for the old one")
	}
	gone := users(t)
	gone.Remember(u.memory)
	if _, got := gone.Remembered("cisco", []byte(quickPassword)); got != NotRemembered {
		t.Error("a removed user is remembered")
	}
	off := *u.users["cisco"]
	off.disabled = true
	u.users["cisco"] = &off
	if _, got := u.Remembered("cisco", []byte(quickPassword)); got != NotRemembered {
		t.Error("a disabled user is remembered")
	}
}

// TestRememberedExpires: a password is believed for so long and not longer.
func TestRememberedExpires(t *testing.T) {
	now := clock.NewManual(time.Unix(1e9, 0))
	m := NewMemoryWith(MemoryOptions{Entries: 10, Lifetime: time.Minute, Clock: now})
	defer m.Close()
	u := users(t, one("cisco", quickHash(t, quickPassword)))
	u.Remember(m)
	u.Verify("cisco", []byte(quickPassword))
	m.Wait()
	now.Advance(time.Minute - 1)
	if _, got := u.Remembered("cisco", []byte(quickPassword)); got != OK {
		t.Fatal(got)
	}
	now.Advance(1)
	if _, got := u.Remembered("cisco", []byte(quickPassword)); got != NotRemembered {
		t.Fatal(got)
	}
	if hits, misses := m.Stats(); hits != 1 || misses != 1 {
		t.Error(hits, misses)
	}
}

// TestMemoryIsBounded: more right passwords than there is room for push each other out.
func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory(100)
	defer m.Close()
	for i := range 5000 {
		m.remember(&[16]byte{}, []byte(strconv.Itoa(i)))
	}
	m.Wait()
	known := 0
	for i := range 5000 {
		if m.knows(&[16]byte{}, []byte(strconv.Itoa(i))) {
			known++
		}
	}
	if known == 0 || known > 100 {
		t.Errorf("%d of 5000 are remembered, want 1 to 100", known)
	}
}

// TestSealIsKeyed: what is remembered is SHA-256 over a key of this memory alone, the
// short form of the stored hash, and the whole password.
func TestSealIsKeyed(t *testing.T) {
	a, b := NewMemory(10), NewMemory(10)
	defer a.Close()
	defer b.Close()
	stored, other := [16]byte{1}, [16]byte{2}
	for _, password := range []string{"", "cisco", strings.Repeat("long", 300)} {
		want := sha256.Sum256(append(append(a.key[:len(a.key):len(a.key)], stored[:]...), password...))
		got := a.seal(&stored, []byte(password))
		if got != want {
			t.Errorf("%d octets of password: another sum", len(password))
		}
		if got == b.seal(&stored, []byte(password)) {
			t.Error("two memories have the same key")
		}
		if got == a.seal(&other, []byte(password)) || got == a.seal(&stored, []byte(password+"x")) {
			t.Error("another hash or password has the same seal")
		}
	}
}

// TestRememberedDoesNotAllocate: a known password, a wrong one and an unknown user. The
// password is where a caller has it: on its stack.
func TestRememberedDoesNotAllocate(t *testing.T) {
	u := users(t, one("cisco", quickHash(t, quickPassword)))
	password := []byte(quickPassword)
	u.Verify("cisco", password)
	u.memory.Wait()
	for _, c := range []struct {
		name, password string
		want           Outcome
	}{{"cisco", quickPassword, OK}, {"cisco", "wrong", NotRemembered}, {"nobody", quickPassword, NotRemembered}} {
		n := testing.AllocsPerRun(1000, func() {
			var room [128]byte
			if _, got := u.Remembered(c.name, append(room[:0], c.password...)); got != c.want {
				t.Fatal(got)
			}
		})
		if n != 0 {
			t.Errorf("%s/%s: %v allocations", c.name, c.password, n)
		}
	}
}

func TestMAB(t *testing.T) {
	file := []config.Endpoint{{MAC: "00:0c:29:c9:d9:37", Groups: []string{"printers"}, OS: "linux"}}
	for _, c := range []struct {
		accept, station string
		want            Outcome
		user            string
	}{
		{"listed", "00-0C-29-C9-D9-37", OK, "00:0c:29:c9:d9:37"}, {"listed", "000c29c9d938", UnknownEndpoint, ""},
		{"all", "000c.29c9.d938", OK, "00:0c:29:c9:d9:38"}, {"all", "bob", NotAMAC, ""}, {"all", "192.168.100.100", NotAMAC, ""},
		{"none", "00-0C-29-C9-D9-37", MABOff, ""}, {"", "00-0C-29-C9-D9-37", MABOff, ""},
	} {
		u, _ := NewUsers(&config.Identity{MAB: config.MAB{Accept: c.accept, Endpoints: file}})
		if id, got := u.MAB(c.station); got != c.want || id.User != c.user {
			t.Errorf("%+v: %v %+v", c, got, id)
		}
	}
}

// TestPoolIsBounded: what does not fit is refused at once, a panic is contained, and
// Close waits for what was taken.
func TestPoolIsBounded(t *testing.T) {
	p := NewPool(1, 1)
	hold, ran := make(chan struct{}), make(chan string, 4)
	var begun sync.WaitGroup
	begun.Add(1)
	if !p.Submit(func() { begun.Done(); <-hold; panic("one login") }) {
		t.Fatal("the first job found no room")
	}
	begun.Wait()
	if !p.Submit(func() { ran <- "queued" }) {
		t.Fatal("the queue takes nothing")
	}
	if p.Submit(func() { ran <- "too many" }) || p.Refused() != 1 {
		t.Fatal("the queue has no bound")
	}
	close(hold)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if got := <-ran; got != "queued" || p.Panics() != 1 {
		t.Fatal(got, p.Panics())
	}
	if p.Submit(func() {}) {
		t.Fatal("a closed pool takes jobs")
	}
}

// TestPoolCloseGivesUp: Close ends with its context while a job still runs.
func TestPoolCloseGivesUp(t *testing.T) {
	p := NewPool(1, 1)
	begun, hold := make(chan struct{}), make(chan struct{})
	p.Submit(func() { close(begun); <-hold })
	<-begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(hold)
	if err := p.Close(context.Background()); err != nil {
		t.Fatal("closed again: ", err)
	}
}

// TestManyAtOnce is for the race detector: one memory, two configurations, a pool.
func TestManyAtOnce(t *testing.T) {
	hash := quickHash(t, quickPassword)
	u, v := users(t, one("cisco", hash)), users(t, one("cisco", hash), one("bob", quickHash(t, "bob")))
	v.Remember(u.memory)
	p := NewPool(4, 64)
	var wrong atomic.Int64
	for i := range 400 {
		of := []*Users{u, v}[i%2]
		job := func() {
			if _, got := of.Remembered("cisco", []byte("wrong")); got != NotRemembered {
				wrong.Add(1)
			}
			if _, got := of.Verify("cisco", []byte(quickPassword)); got != OK {
				wrong.Add(1)
			}
		}
		if !p.Submit(job) {
			job()
		}
	}
	if err := p.Close(context.Background()); err != nil || wrong.Load() != 0 {
		t.Fatal(err, wrong.Load())
	}
	if _, got := v.Remembered("cisco", []byte(quickPassword)); got != OK {
		t.Error("the other configuration does not share the memory")
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g")
	f.Add("$2b$10$abcdefghijklmnopqrstuuO8Gz7yCY1Q1hVpkAnVQkv8lGb1Q9n1e")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			return
		}
		switch {
		case h.bcrypt != 0 && (h.bcrypt < bcrypt.MinCost || h.bcrypt > bcryptMax):
			t.Fatalf("%+v", h.work)
		case h.bcrypt == 0 && (h.memory > memoryMax || uint64(h.memory)*uint64(h.passes) > workMax || h.lanes < 1 || h.lanes > lanesMax || len(h.sum) > sumMax):
			t.Fatalf("%+v", h.work)
		}
		// What is accepted can be verified without an error of the library: it is cheap
		// enough for a fuzz run only when the work is.
		if h.bcrypt == 0 && h.memory <= 64 && h.passes == 1 && h.verify([]byte("x")) {
			t.Fatal("a password was guessed")
		}
	})
}

func BenchmarkRemembered(b *testing.B) {
	u := users(b, one("cisco", decoy(workDefault).text))
	password := []byte(quickPassword)
	u.memory.remember(&u.users["cisco"].hash.short, password)
	u.memory.Wait()
	b.ReportAllocs()
	for b.Loop() {
		if _, got := u.Remembered("cisco", password); got != OK {
			b.Fatal(got)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	h, err := Hash([]byte(quickPassword))
	if err != nil {
		b.Fatal(err)
	}
	u := users(b, one("cisco", h))
	for b.Loop() {
		u.Verify("cisco", []byte(quickPassword))
	}
}
