package lanes

// best asks the processor for its vectors and the operating system whether it keeps
// their registers.
func best() Kind {
	const (
		osxsave, avx = 1 << 27, 1 << 28            // leaf 1, c
		avx2, avx512 = 1 << 5, 1 << 16             // leaf 7, b
		keepsY       = 1<<1 | 1<<2                 // XCR0: X and the upper halves of Y
		keepsZ       = keepsY | 1<<5 | 1<<6 | 1<<7 // and masks, upper halves of Z0-15, Z16-31
	)
	if last, _, _, _ := cpuid(0, 0); last < 7 {
		return Single
	}
	_, _, c, _ := cpuid(1, 0)
	if c&osxsave == 0 || c&avx == 0 {
		return Single
	}
	_, b, _, _ := cpuid(7, 0)
	switch keeps := xgetbv(); {
	case b&avx512 != 0 && b&avx2 != 0 && keeps&keepsZ == keepsZ:
		return AVX512
	case b&avx2 != 0 && keeps&keepsY == keepsY:
		return AVX2
	}
	return Single
}

func cpuid(leaf, sub uint32) (a, b, c, d uint32)

func xgetbv() (low uint32)
