package uplink

import (
	"encoding/json"
	"fmt"
	"sync"
)

// few is a small map for many goroutines. It forgets all when it is full: what it holds can
// be learned again.
type few struct {
	mu sync.Mutex
	by map[string][]byte
}

const fewMax = 64

func (f *few) put(key string, value []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil || len(f.by) >= fewMax {
		f.by = map[string][]byte{}
	}
	f.by[key] = value
}

func (f *few) of(key string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.by[key]
}

// note is a text that changes.
type note struct {
	mu sync.Mutex
	s  string
}

func (n *note) set(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.s = s
}

func (n *note) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.s
}

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot be written as JSON: %w", err)
	}
	return b, nil
}
