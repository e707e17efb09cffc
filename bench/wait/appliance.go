package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"

	"sallyport/engine/stage"
)

// appliance is the program, and what its metrics tell.
type appliance struct{ *stage.Appliance }

// memory of the appliance's process, in octets.
type memory struct{ resident, heap, stacks, polls float64 }

// memory collects garbage twice, so that what finalizers hold goes too, and reads.
func (a *appliance) memory(ctx context.Context) (m memory, err error) {
	for range 2 {
		if _, err := a.get(ctx, "/debug/pprof/heap?gc=1"); err != nil {
			return m, err
		}
	}
	return a.read(ctx)
}

// read takes what is measured from the metrics.
func (a *appliance) read(ctx context.Context) (m memory, err error) {
	text, err := a.get(ctx, "/metrics")
	if err != nil {
		return m, err
	}
	for name, to := range map[string]*float64{"process_resident_memory_bytes": &m.resident, "go_memstats_heap_inuse_bytes": &m.heap,
		"go_memstats_stack_inuse_bytes": &m.stacks, `sallyport_portal_open{what="polls"}`: &m.polls} {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
		if line == nil {
			return m, fmt.Errorf("the metrics have no %s", name)
		}
		if *to, err = strconv.ParseFloat(string(line[1]), 64); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (a *appliance) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Metrics+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return text, err
}
