package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport/ops/secret"
)

// TestRamp: the steps go up, and the knee of a responder is none of the rates that it
// did not answer.
func TestRamp(t *testing.T) {
	key := keyOf(t)
	at := respond(t, "127.0.0.1:0", func(_ int, q []byte) [][]byte { return [][]byte{reply(t, key, q)} })
	s := &Scenario{Name: "test", Kind: KindAuth, Ports: 8, Time: time.Second,
		Retransmit: Retransmit{Off: true, Initial: 100 * time.Millisecond, Longest: 100 * time.Millisecond, GiveUp: 100 * time.Millisecond}}
	s.fill()
	r := &Runner{ServerCPU: -1, GeneratorCPU: -1, Ramp: true}
	var steps strings.Builder
	r.Steps = &steps
	result, err := r.Run(context.Background(), s, &Target{Name: "responder", Auth: at, Secret: secret.New([]byte(Secret))})
	if err != nil && strings.HasPrefix(err.Error(), "no knee: ") {
		t.Skip("the machine is too busy for a knee: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if k := result.Knee; k == nil || k.Rate <= 0 || len(k.Steps) != len(rampShares) || strings.Count(steps.String(), "\n") != len(rampShares) {
		t.Fatalf("%+v\n%s", k, steps.String())
	}
	for _, s := range result.Knee.Steps {
		if !s.Good && s.Answers == result.Knee.Rate {
			t.Fatal("the knee is a rate that was not answered")
		}
	}
}
