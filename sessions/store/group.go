package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A group is the value of one key j/<number>: all session changes of one commit.
//
//	1 octet   version, 1
//	4 octets  CRC-32C of the rest
//	4 octets  how many sessions there were before it, to have room for them at start
//	...       items: 4 octets of length << 1 | deleted, then a record, or the id of a
//	          session that is forgotten
//
// A page is the value of p/<page>: all sessions whose id belongs there.
//
//	1 octet   version, 1
//	4 octets  CRC-32C of the rest
//	8 octets  number of the newest group that it holds
//	4 octets  how many records
//	...       records, each after its length as a varint
//
// All numbers are little endian; those in keys are big endian.
const (
	valueVersion = 1
	headLen      = 5
	groupHeadLen = headLen + 4
	pageHeadLen  = headLen + 12
	itemHeadLen  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("damaged")

// seal writes the head of a value whose first headLen octets are free.
func seal(value []byte) {
	value[0] = valueVersion
	binary.LittleEndian.PutUint32(value[1:], crc32.Checksum(value[headLen:], castagnoli))
}

// unseal checks the head and returns what is behind it.
func unseal(value []byte) ([]byte, error) {
	switch {
	case len(value) < headLen:
		return nil, fmt.Errorf("%w: %d octets", errDamaged, len(value))
	case value[0] != valueVersion:
		return nil, fmt.Errorf("%w: version %d, this release reads %d", errDamaged, value[0], valueVersion)
	case crc32.Checksum(value[headLen:], castagnoli) != binary.LittleEndian.Uint32(value[1:]):
		return nil, fmt.Errorf("%w: the checksum of %d octets is wrong", errDamaged, len(value))
	}
	return value[headLen:], nil
}

// eachItem calls f for the items of an unsealed group.
func eachItem(b []byte, f func(octets []byte, deleted bool) error) error {
	if len(b) < groupHeadLen-headLen {
		return fmt.Errorf("%w: a group of %d octets", errDamaged, len(b))
	}
	b = b[groupHeadLen-headLen:]
	for len(b) > 0 {
		if len(b) < itemHeadLen {
			return fmt.Errorf("%w: %d octets at the end", errDamaged, len(b))
		}
		head := binary.LittleEndian.Uint32(b)
		b = b[itemHeadLen:]
		n := int(head >> 1)
		if n > len(b) {
			return fmt.Errorf("%w: an item of %d octets, %d are left", errDamaged, n, len(b))
		}
		if err := f(b[:n:n], head&1 != 0); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// pageHead are the number of the newest group and of records of an unsealed page.
func pageHead(b []byte) (seq uint64, count uint32, records []byte, err error) {
	if len(b) < pageHeadLen-headLen {
		return 0, 0, nil, fmt.Errorf("%w: a page of %d octets", errDamaged, len(b))
	}
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), b[12:], nil
}

// eachRecord calls f for the records of a page.
func eachRecord(b []byte, count uint32, f func(record []byte) error) error {
	for ; count > 0; count-- {
		n, head := binary.Uvarint(b)
		if head <= 0 || n > uint64(len(b)-head) {
			return fmt.Errorf("%w: a record of %d octets, %d are left", errDamaged, n, len(b))
		}
		if err := f(b[head : head+int(n) : head+int(n)]); err != nil {
			return err
		}
		b = b[head+int(n):]
	}
	if len(b) > 0 {
		return fmt.Errorf("%w: %d octets behind the last record", errDamaged, len(b))
	}
	return nil
}
