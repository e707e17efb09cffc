//go:build !windows

package collect

import (
	"context"

	"sallyport/netio/report"
)

// registryItems: there is no registry here, and that is no fault of the endpoint.
func registryItems(_ context.Context, s *survey) *report.Registry {
	out := &report.Registry{Items: []report.RegistryItem{}}
	for _, p := range s.probe.Registry {
		out.Items = append(out.Items, report.RegistryItem{RegistryProbe: p, State: report.StateUnknown, Reason: "this system has no registry"})
	}
	return out
}
