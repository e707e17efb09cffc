package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// small is a built-in scenario cut down to a moment.
func small(name string) *Scenario {
	s := scenario(name)
	s.Users, s.Sessions, s.Warm, s.Count, s.Ports = 5, 50, 50, 500, 8
	s.Time = time.Minute
	return s
}

// builtIn is where buildOnce has put the program.
var builtIn string

// buildOnce is the real program, from this tree.
var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bench-program-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	program := filepath.Join(dir, "sallyport")
	if text, err := exec.Command("go", "build", "-o", program, "sallyport/cmd/sallyport").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return program, nil
})

func built(t *testing.T) string {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func TestMain(m *testing.M) {
	if program := os.Getenv(motherOf); program != "" {
		if err := mother(program); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// TestAppliance: the real program loads the generated configuration and meets every
// built-in scenario's demands on what is answered. How fast is not asked here.
func TestAppliance(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: this builds the appliance and runs it")
	}
	ctx := context.Background()
	s, err := Appliance(ctx, built(t), -1, &Scenario{Users: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	r := &Runner{ServerCPU: -1, GeneratorCPU: -1}
	for _, name := range []string{"auth", "accounting", "duplicate", "garbage"} {
		result, err := r.Run(ctx, small(name), &s.Target)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(result.Missed) > 0 || result.Counts.Answered != 500 || result.ServerCPU < 0 {
			t.Errorf("%s: %v %+v", name, result.Missed, result.Counts)
		}
		if in := result.Inside; in == nil || in.Allocs > 1e6 || (name == "garbage") != (len(in.Drops) > 0) {
			t.Errorf("%s: inside %+v", name, in)
		}
	}
}

// TestDay: whole sessions through the real program; every one comes to its end.
func TestDay(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: this builds the appliance and runs it")
	}
	s, err := Appliance(context.Background(), built(t), -1, &Scenario{Users: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	day := scenario("day")
	day.Users, day.Sessions, day.Objectives.P99 = 5, 20, 0
	r, err := (&Runner{ServerCPU: -1, GeneratorCPU: -1}).Run(context.Background(), day, &s.Target)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Missed) > 0 || r.Counts.Answered != 20 {
		t.Errorf("%v %+v", r.Missed, r.Phases)
	}
	for _, p := range r.Phases {
		if p.Count != 20 || p.Latency.P50 <= 0 {
			t.Errorf("%+v", p)
		}
	}
}

// TestFreeRADIUS: the peer runs both ways and answers what the appliance answers.
func TestFreeRADIUS(t *testing.T) {
	if _, err := freeradiusProgram(); err != nil {
		t.Skip(err)
	}
	for _, how := range []Tuning{FreeRADIUSDefault, FreeRADIUSTuned} {
		t.Run(how.Name, func(t *testing.T) {
			s, err := FreeRADIUS(context.Background(), how, -1, 5)
			if err != nil {
				t.Fatal(err)
			}
			defer stop(t, s)
			for _, name := range []string{"auth", "accounting"} {
				result, err := (&Runner{ServerCPU: -1, GeneratorCPU: -1}).Run(context.Background(), small(name), &s.Target)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if len(result.Missed) > 0 || result.Counts.Answered != 500 {
					t.Errorf("%s: %v %+v", name, result.Missed, result.Counts)
				}
			}
		})
	}
}

// TestServerThatDoesNotStart: what it said is in the error, and nothing stays behind.
func TestServerThatDoesNotStart(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, err := Appliance(context.Background(), "/bin/false", -1, &Scenario{Users: 1})
	if err == nil || !strings.Contains(err.Error(), "sallyport ended before it listened") {
		t.Error(err)
	}
	if _, err = Appliance(context.Background(), "/nonexistent/sallyport", -1, &Scenario{Users: 1}); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(t.TempDir(), "..", "*", "sallyport-bench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
