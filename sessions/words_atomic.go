//go:build !amd64 || race

package sessions

import "sync/atomic"

func storeWords(dst, src []uint64) {
	for i, w := range src {
		atomic.StoreUint64(&dst[i], w)
	}
}

func loadWords(dst, src []uint64) {
	for i := range src {
		dst[i] = atomic.LoadUint64(&src[i])
	}
}
