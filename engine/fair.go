package engine

import (
	"math"
	"slices"
	"time"

	"sallyport/netio/udp"
)

// fairness shares one loop between the NASes that send to it. A NAS in a retry storm
// sends more than the loop can serve, and what the loop does not read in time the kernel
// drops, whose ever it is. So once in a slice of time the loop works out a level:
//
//	packets
//	  |            #
//	  |  - - - - - # - - - -   level: what it can serve, if nobody gets more
//	  |            #
//	  |  #    #    #    #
//	  '--------------------  NASes
//
// and what a NAS in a storm sends above the level is dropped, before anything is spent on
// it, and counted as nas_share. A storm is many times what a quiet NAS sends, for longer
// than a socket's buffer can hold it: a NAS that is merely busy waits its turn and loses
// nothing. When the load is everybody's there is nobody to protect: all is read as it
// comes, and the kernel drops more cheaply than we can.
type fairness struct {
	slice    int64 // number of the slice of time
	level    int   // packets that a NAS in a storm may have in this slice; 0: any number
	pressed  int   // slices in a row that asked for more than there is
	tallies  []tally
	active   []int32       // who sent in this slice
	demands  []int         // room to sort in
	cost     time.Duration // of serving one packet, smoothed
	lastFull time.Time     // when the last batch began, if it was full
	size     int           // of the last batch
	dropped  int           // of its packets
}

// tally is what one NAS sent in a slice.
type tally struct {
	slice    int64
	seen     int
	storming bool // as of the last slice
}

const (
	fairSlice = 10 * time.Millisecond
	// costFirst is taken for the cost of a packet until it has been measured.
	costFirst = 8 * time.Microsecond
	// costOfDrop is what reading and dropping takes, measured on a slow core.
	costOfDrop = time.Microsecond
	// stormFactor is how many times more than a quiet NAS one sends that is in a storm.
	stormFactor = 8
	// pressedMin is how many slices must ask for too much: what a buffer of
	// udp.RecvBufferDefault holds is not lost yet.
	pressedMin = 3
	// levelMin is what any NAS may send in a slice, whatever the load: 1,600 a second.
	levelMin = 16
	// smooth is the weight of the past in the cost.
	smooth = 15
)

// begin is called with each batch of so many datagrams; a full one says that more wait.
func (f *fairness) begin(now time.Time, datagrams int) {
	if slice := now.UnixNano() / int64(fairSlice); slice != f.slice {
		f.settle()
		f.slice = slice
	}
	// Two full batches in a row: the loop did not rest between them.
	if passed := now.Sub(f.lastFull); !f.lastFull.IsZero() && passed > 0 && passed < fairSlice {
		f.measure(passed)
	}
	f.lastFull, f.size, f.dropped = time.Time{}, datagrams, 0
	if datagrams == udp.BatchMax {
		f.lastFull = now
	}
}

// measure smooths the cost of a packet by the batch that is done, of which a part may
// have been dropped.
func (f *fairness) measure(passed time.Duration) {
	served := f.size - f.dropped
	if served < f.size/4 {
		return // too little to tell by
	}
	if f.cost == 0 {
		f.cost = costFirst
	}
	one := max(passed-time.Duration(f.dropped)*costOfDrop, 0) / time.Duration(served)
	f.cost = (f.cost*smooth + one) / (smooth + 1)
}

// settle works out the level from what was asked for in the slice that ends.
func (f *fairness) settle() {
	active := f.active
	f.demands, f.active, f.level = f.demands[:0], f.active[:0], 0
	sum := 0
	for _, i := range active {
		f.demands = append(f.demands, f.tallies[i].seen)
		sum += f.tallies[i].seen
	}
	capacity := math.MaxInt
	if f.cost > 0 {
		capacity = int(fairSlice / f.cost)
	}
	if f.pressed++; sum <= capacity {
		f.pressed = 0
	}
	if f.pressed < pressedMin || len(f.demands) < 2 {
		return
	}
	slices.Sort(f.demands)
	storm := max(f.demands[(len(f.demands)-1)/4]*stormFactor, levelMin)
	for _, i := range active {
		f.tallies[i].storming = f.tallies[i].seen >= storm
	}
	if f.demands[len(f.demands)-1] >= storm {
		f.level = max(f.share(sum, capacity), levelMin)
	}
}

// share is the most that one may have if nobody gets more. What is dropped takes time
// too, and the queue that has built up must empty.
func (f *fairness) share(sum, capacity int) int {
	left := max(capacity-int(time.Duration(sum-capacity)*costOfDrop/f.cost), capacity/4) * 9 / 10
	for i, d := range f.demands {
		share := left / (len(f.demands) - i)
		if d > share {
			return share
		}
		left -= d
	}
	return left
}

// admit counts one packet of the NAS and says whether it is within its share.
func (f *fairness) admit(nas int32) bool {
	if int(nas) >= len(f.tallies) {
		f.tallies = append(f.tallies, make([]tally, int(nas)+1-len(f.tallies))...)
	}
	t := &f.tallies[nas]
	if t.slice != f.slice {
		*t = tally{slice: f.slice, storming: t.storming && t.slice == f.slice-1}
		f.active = append(f.active, nas)
	}
	t.seen++
	if f.level > 0 && t.storming && t.seen > f.level {
		f.dropped++
		return false
	}
	return true
}
