package lanes

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// pad appends message and what RFC 1321 puts behind it to arena, as a job.
func pad(arena []byte, jobs []Job, message []byte) ([]byte, []Job) {
	at := len(arena)
	arena = append(append(arena, message...), 0x80)
	for (len(arena)-at)%64 != 56 {
		arena = append(arena, 0)
	}
	arena = binary.LittleEndian.AppendUint64(arena, uint64(len(message))<<3)
	return arena, append(jobs, Job{State: Start, At: uint32(at), Blocks: uint32((len(arena) - at) / 64)})
}

// check runs the messages as one batch and compares with crypto/md5.
func check(t *testing.T, messages [][]byte) {
	t.Helper()
	arena, jobs := []byte("not at the arena's start"), []Job(nil)
	for _, message := range messages {
		arena, jobs = pad(arena, jobs, message)
	}
	Run(slices.Clip(arena), jobs)
	for i, message := range messages {
		var got [16]byte
		for v, word := range jobs[i].State {
			binary.LittleEndian.PutUint32(got[4*v:], word)
		}
		if want := md5.Sum(message); got != want {
			t.Fatalf("%s: message %d of %d, %d octets: %x, want %x", kind, i, len(messages), len(message), got, want)
		}
	}
}

// eachKind runs test with all the vectors that this machine has, and without.
func eachKind(t *testing.T, test func(t *testing.T, r *rand.Rand)) {
	t.Logf("this machine has %v", Kinds())
	for _, k := range Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			was := Use(k)
			defer Use(was)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			test(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func octets(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// TestEveryLength: up to 400 octets, in batches of every size that ends within, at or
// behind a group, all of one length.
func TestEveryLength(t *testing.T) {
	eachKind(t, func(t *testing.T, r *rand.Rand) {
		for n := range 401 {
			messages := make([][]byte, 1+n%50)
			for i := range messages {
				messages[i] = octets(r, n)
			}
			check(t, messages)
		}
	})
}

// TestMixedLengths: lengths of all sorts in one batch, some longer than is sorted.
func TestMixedLengths(t *testing.T) {
	eachKind(t, func(t *testing.T, r *rand.Rand) {
		for range 200 {
			most := 1 << r.IntN(14)
			messages := make([][]byte, r.IntN(100))
			for i := range messages {
				messages[i] = octets(r, r.IntN(most))
			}
			check(t, messages)
		}
		long := make([][]byte, 2*256+17)
		for i := range long {
			long[i] = octets(r, r.IntN(100))
		}
		check(t, long)
	})
}

// TestEmptyJobs: no blocks, no change, even where the arena has ended.
func TestEmptyJobs(t *testing.T) {
	eachKind(t, func(t *testing.T, r *rand.Rand) {
		jobs := make([]Job, 20)
		for i := range jobs {
			jobs[i] = Job{State: Start, At: 64}
		}
		Run(make([]byte, 64), jobs)
		for _, j := range jobs {
			if j.State != Start {
				t.Fatal("a message without blocks changed the state")
			}
		}
		Run(nil, nil)
	})
}

// TestOutsideTheArena: the vectors read nothing that an index would not.
func TestOutsideTheArena(t *testing.T) {
	eachKind(t, func(t *testing.T, r *rand.Rand) {
		for at := range 33 {
			jobs := make([]Job, 33)
			for i := range jobs {
				jobs[i] = Job{State: Start, Blocks: 2}
			}
			jobs[at].At = 1
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("job %d read behind the arena", at)
					}
				}()
				Run(make([]byte, 128, 256), jobs)
			}()
		}
	})
}

// FuzzRun cuts the input into messages by its own octets.
func FuzzRun(f *testing.F) {
	f.Add([]byte{}, uint8(1))
	f.Add(make([]byte, 3000), uint8(17))
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz"), uint8(3))
	f.Fuzz(func(t *testing.T, p []byte, step uint8) {
		var messages [][]byte
		for n := int(step); len(p) > 0; {
			cut := min(len(p), 1+n)
			messages, n, p = append(messages, p[:cut]), int(p[0])<<(step%3), p[cut:]
		}
		for _, k := range Kinds() {
			was := Use(k)
			check(t, messages)
			Use(was)
		}
	})
}

// BenchmarkRun is the time for each block: batches of messages of four blocks.
func BenchmarkRun(b *testing.B) {
	for _, k := range Kinds() {
		for _, n := range []int{1, 2, 3, 4, 8, 9, 16, 17, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", k, n), func(b *testing.B) {
				was := Use(k)
				defer Use(was)
				var arena []byte
				var jobs []Job
				for range n {
					arena, jobs = pad(arena, jobs, make([]byte, 200))
				}
				b.ReportAllocs()
				for b.Loop() {
					Run(arena, jobs)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*4), "ns/block")
			})
		}
	}
}
