//go:build !amd64

package lanes

func best() Kind { return Single }

func runWide(arena []byte, jobs []Job) { runSingle(arena, jobs) }
