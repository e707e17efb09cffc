//go:build assert || race

package assert

// Enabled says whether assertions are compiled in.
const Enabled = true

// That panics with what when ok is false.
func That(ok bool, what string) {
	if !ok {
		panic("assertion failed: " + what)
	}
}
