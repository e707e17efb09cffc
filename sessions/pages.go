package sessions

import "encoding/binary"

// Pages is the number of parts that the journal keeps the table in, by id. A page of five
// million sessions has 1,200 of them and a quarter of a megabyte.
const Pages = 4096

const pageShift = 32 - 12

const _ = uint(Pages>>(32-pageShift)) - 1 // Pages is what is left of a key

// PageOf is the page that a session belongs to, for all the life of a journal.
func (d *Dictionary) PageOf(id ID) int { return int(idHash(d.seed, string(id)) >> pageShift) }

// PageOfRecord is PageOf of a record, -1 when it is none.
func (d *Dictionary) PageOfRecord(record []byte) int {
	var room [IDMax]byte
	id, ok := RecordID(room[:0], record)
	if !ok {
		return -1
	}
	return d.PageOf(ID(textOf(id)))
}

// AppendPage appends the records of one page to b, each after its length as a varint,
// and returns how many there are. It takes some hundred nanoseconds for each session of
// the page. The writer's, or another goroutine's while the table is not changed.
func (t *Table) AppendPage(b []byte, page int, x *Scratch) ([]byte, int) {
	n := 0
	low := uint32(page) << pageShift
	t.ids.keys(low, low|(1<<pageShift-1), func(entry uint32) {
		if record := t.read(entry, x); record != nil {
			b = binary.AppendUvarint(b, uint64(len(record)))
			b = append(b, record...)
			n++
		}
	})
	return b, n
}

// Octets is the memory that the records take. Writer only.
func (t *Table) Octets() int { return t.slabs.used * 8 }
