package bench

import "time"

// Machine is where results come from.
type Machine struct {
	CPU      string `json:"cpu"`
	CPUs     int    `json:"cpus"`
	MemoryMB uint64 `json:"memory_mb"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
}

// inMemory is a file system that keeps nothing: a journal there proves nothing.
const inMemory = "memory"

// usage is what was used up to a moment.
type usage struct {
	at            time.Time
	process, self time.Duration
	busy, steal   time.Duration // of the server's CPU
	near, lost    time.Duration // the same of the generator's
	written       float64       // octets that the process made the system write to disks
}

// Used is the use of CPU during a run, as shares of one CPU. A kernel without
// CONFIG_IRQ_TIME_ACCOUNTING charges the interrupts of packets to the process that they
// interrupt, nearly always the server; with it they show as Foreign.
type Used struct {
	Server    float64 `json:"server"`    // the server, on whatever CPU
	Generator float64 `json:"generator"` // this process
	Foreign   float64 `json:"foreign"`   // all else on the server's CPU
	Steal     float64 `json:"steal"`     // what the host took from the server's CPU
	Beside    float64 `json:"beside"`    // all else on the generator's CPU, and what the host took from it

	serverTime time.Duration
	written    float64 // octets to disks, by the server
}

func (before usage) until(after usage) Used {
	elapsed := after.at.Sub(before.at)
	if elapsed <= 0 {
		return Used{}
	}
	share := func(d time.Duration) float64 { return max(0, float64(d)/float64(elapsed)) }
	server := after.process - before.process
	return Used{
		Server: share(server), Generator: share(after.self - before.self),
		Foreign: share(after.busy - before.busy - server), Steal: share(after.steal - before.steal),
		Beside:     share(after.near - before.near - (after.self - before.self) + after.lost - before.lost),
		serverTime: server, written: max(0, after.written-before.written),
	}
}
