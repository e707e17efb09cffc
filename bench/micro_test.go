package bench

import (
	"errors"
	"strings"
	"testing"
)

// TestOperations: every operation does what it is called, at its first time and later on;
// what is wrong is an error and not a fast result.
func TestOperations(t *testing.T) {
	all, err := operations()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		for _, times := range []int{1, 3, 200} {
			if err := o.run(times); err != nil {
				t.Errorf("%s: %v", o.name, err)
			}
		}
	}
	broken := &operation{"broken", func(int) error { return errors.New("no") }}
	if _, err := broken.measured(); err == nil || !strings.Contains(err.Error(), "broken: no") {
		t.Error(err)
	}
}
