package dup

import "sallyport/ops/assert"

// list is a list of entries through prev and next.
type list struct {
	first, last int32 // plus 1
	n           int
}

func (l *list) push(entries []entry, i int32) {
	e := &entries[i]
	e.prev, e.next = l.last, 0
	if l.last != 0 {
		entries[l.last-1].next = i + 1
	} else {
		l.first = i + 1
	}
	l.last = i + 1
	l.n++
}

func (l *list) remove(entries []entry, i int32) {
	e := &entries[i]
	if e.prev != 0 {
		entries[e.prev-1].next = e.next
	} else {
		l.first = e.next
	}
	if e.next != 0 {
		entries[e.next-1].prev = e.prev
	} else {
		l.last = e.prev
	}
	e.prev, e.next = 0, 0
	l.n--
}

// find looks a key up, -1 when it is not there.
func (c *Cache) find(head int32, k *key) int32 {
	for i := c.heads[head]; i != 0; i = c.entries[i-1].hashNext {
		if c.entries[i-1].key == *k {
			return i - 1
		}
	}
	return -1
}

// begin makes entry i stand for a request that starts now, whatever it stood for.
func (c *Cache) begin(i int32, authenticator *[16]byte, state uint64, t int64) Token {
	e := &c.entries[i]
	switch e.state {
	case working:
		c.work.remove(c.entries, i)
	case answered:
		c.done.remove(c.entries, i)
		c.blocks.release(e.reply)
		e.reply, e.size = 0, 0
	}
	e.authenticator, e.judged, e.state, e.at = *authenticator, state, working, t
	e.generation++
	c.work.push(c.entries, i)
	return Token{cache: c, index: i, generation: e.generation}
}

// take finds an entry for a new key, throwing out the oldest when none is free, and
// puts it into its hash chain.
func (c *Cache) take(head int32, k *key) int32 {
	if c.free == 0 && c.used == len(c.entries) {
		if c.done.n > 0 {
			c.evict(&c.done)
		} else {
			c.evict(&c.work)
		}
	}
	i := c.free - 1
	if c.free != 0 {
		c.free = c.entries[i].next
	} else {
		i = int32(c.used)
		c.used++
	}
	e := &c.entries[i]
	e.key, e.head, e.next, e.prev = *k, head, 0, 0
	e.hashNext, c.heads[head] = c.heads[head], i+1
	return i
}

// evict throws out the oldest entry of a list before its time.
func (c *Cache) evict(l *list) {
	assert.That(l.n > 0, "there is something to throw out")
	c.stats.Evicted++
	c.drop(l, l.first-1)
}

// drop frees entry i, which is in list l. Its generation stays: an old token never fits.
func (c *Cache) drop(l *list, i int32) {
	l.remove(c.entries, i)
	e := &c.entries[i]
	c.blocks.release(e.reply)
	e.reply, e.size, e.state = 0, 0, vacant
	at := &c.heads[e.head]
	for *at != i+1 {
		at = &c.entries[*at-1].hashNext
	}
	*at, e.hashNext = e.hashNext, 0
	e.next, c.free = c.free, i+1
}

// over says whether the time of an entry in use is up.
func (c *Cache) over(e *entry, t int64) bool {
	if e.state == working {
		return t-e.at >= int64(workMax)
	}
	return t-e.at >= c.keep
}

// expire frees the oldest entries whose time is up: a few each time, so that no
// request waits for the clearing after a quiet hour, yet more than are added.
func (c *Cache) expire(t int64) {
	for range expirePerCheck {
		if c.done.n > 0 && c.over(&c.entries[c.done.first-1], t) {
			c.drop(&c.done, c.done.first-1)
		}
		if c.work.n > 0 && c.over(&c.entries[c.work.first-1], t) {
			c.stats.Abandoned++
			c.drop(&c.work, c.work.first-1)
		}
	}
}
