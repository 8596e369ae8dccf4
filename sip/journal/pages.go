package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// pages reads a bbolt file without bbolt, which maps it and trusts it: a page that is damaged there is a fault in a
// goroutine of its own, a loop without end or a stack without bound, and none of these can be contained. What inspect has
// found whole, bbolt can read and write.
//
//	page      id:8 flags:2 count:2 overflow:4, then elements
//	meta      magic:4 version:4 page size:4 flags:4 root:8 sequence:8 freelist:8 pages:8 transaction:8 checksum:8
//	branch    pos:4 key size:4 page:8, keys at pos behind the element
//	leaf      flags:4 pos:4 key size:4 value size:4, key and value at pos behind the element
//	bucket    root:8 sequence:8, and without a root a leaf page inside
type pages struct {
	file  io.ReaderAt
	size  int // of a page
	count uint64
	seen  map[uint64]bool
}

const (
	pageHead    = 16
	elementHead = 16
	metaLength  = 64

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketLeaf   = 0x01

	metaMagic, metaVersion = 0xED0CDAED, 2

	noFreelist = ^uint64(0)
	// freelistLong is the count of a freelist that has its true count before its first entry.
	freelistLong = 0xFFFF
)

// order is that of the machine that wrote the file, this one.
var order = binary.NativeEndian

// damaged wraps ErrCorrupted.
func damaged(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupted, fmt.Sprintf(format, a...))
}

// inspect returns an error that wraps ErrCorrupted if bbolt must not write to the file. Meanwhile nobody else does.
func inspect(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	p := pages{file: file, size: os.Getpagesize(), seen: map[uint64]bool{0: true, 1: true}}
	root, freelist, err := p.meta()
	if err != nil {
		return err
	}
	if p.count < 2 || p.count > uint64(info.Size())/uint64(p.size) {
		return damaged("%d pages in %d bytes", p.count, info.Size())
	}
	if err := p.tree(root, nil, nil); err != nil {
		return err
	}
	return p.freelist(freelist)
}

// meta reads the two heads of the file, of which the later one that is whole counts.
func (p *pages) meta() (root, freelist uint64, err error) {
	var latest uint64
	found := false
	for i := range int64(2) {
		head := make([]byte, pageHead+metaLength)
		if _, err := p.file.ReadAt(head, i*int64(p.size)); err != nil {
			continue // cut short
		}
		m := head[pageHead:]
		sum := fnv.New64a()
		sum.Write(m[:metaLength-8])
		if order.Uint32(m) != metaMagic || order.Uint32(m[4:]) != metaVersion || order.Uint64(m[56:]) != sum.Sum64() || int(order.Uint32(m[8:])) != p.size {
			continue
		}
		if at := order.Uint64(m[48:]); !found || at > latest {
			root, freelist, p.count, latest, found = order.Uint64(m[16:]), order.Uint64(m[32:]), order.Uint64(m[40:]), at, true
		}
	}
	if !found {
		return 0, 0, damaged("no head that is whole")
	}
	return root, freelist, nil
}

// page reads one page with what it overflows into, each once.
func (p *pages) page(id uint64) (body []byte, err error) {
	head := make([]byte, pageHead)
	if id >= p.count {
		return nil, damaged("page %d of %d", id, p.count)
	}
	at := int64(id) * int64(p.size)
	if _, err := p.file.ReadAt(head, at); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	overflow := uint64(order.Uint32(head[12:]))
	if order.Uint64(head) != id || overflow >= p.count-id {
		return nil, damaged("page %d is not itself", id)
	}
	for i := range overflow + 1 {
		if p.seen[id+i] {
			return nil, damaged("page %d is used twice", id+i)
		}
		p.seen[id+i] = true
	}
	body = make([]byte, (overflow+1)*uint64(p.size))
	if _, err := p.file.ReadAt(body, at); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return body, nil
}

// tree walks the pages below one. Its keys are in their order, beginning with first and below high; nil says nothing.
func (p *pages) tree(id uint64, first, high []byte) error {
	body, err := p.page(id)
	if err != nil {
		return err
	}
	switch order.Uint16(body[8:]) {
	case leafPage:
		return p.leaf(body, first, high)
	case branchPage:
	default:
		return damaged("page %d is of another kind", id)
	}
	n := int(order.Uint16(body[10:]))
	if n == 0 {
		return damaged("page %d leads nowhere", id)
	}
	var keys [][]byte
	var below []uint64
	for i := range n {
		e, err := element(body, i)
		if err != nil {
			return err
		}
		key, err := cut(e, order.Uint32(e), order.Uint32(e[4:]))
		if err != nil {
			return err
		}
		keys, below = append(keys, key), append(below, order.Uint64(e[8:]))
	}
	if err := ordered(keys, first, high); err != nil {
		return err
	}
	for i := range below {
		end := high
		if i+1 < n {
			end = keys[i+1]
		}
		if err := p.tree(below[i], keys[i], end); err != nil {
			return err
		}
	}
	return nil
}

// leaf reads a page of keys with values, of which some are buckets.
func (p *pages) leaf(body, first, high []byte) error {
	var keys [][]byte
	for i := range int(order.Uint16(body[10:])) {
		e, err := element(body, i)
		if err != nil {
			return err
		}
		at, size := order.Uint32(e[4:]), order.Uint32(e[8:])
		key, err := cut(e, at, size)
		if err != nil {
			return err
		}
		keys = append(keys, key)
		value, err := cut(e, at+size, order.Uint32(e[12:])) // a sum that turns over is caught by the key
		if err != nil {
			return err
		}
		switch order.Uint32(e) {
		case 0:
		case bucketLeaf:
			if err := p.bucket(value); err != nil {
				return err
			}
		default:
			return damaged("an element of another kind")
		}
	}
	return ordered(keys, first, high)
}

func (p *pages) bucket(value []byte) error {
	if len(value) < 16 {
		return damaged("a bucket of %d bytes", len(value))
	}
	if root := order.Uint64(value); root != 0 {
		return p.tree(root, nil, nil)
	}
	inside := value[16:]
	if len(inside) < pageHead || order.Uint16(inside[8:]) != leafPage {
		return damaged("an inline bucket that is none")
	}
	return p.leaf(inside, nil, nil)
}

// freelist holds the free pages against those in use.
func (p *pages) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	body, err := p.page(id)
	if err != nil {
		return err
	}
	if order.Uint16(body[8:]) != freelistPage {
		return damaged("page %d is no freelist", id)
	}
	n, ids := uint64(order.Uint16(body[10:])), body[pageHead:]
	if n == freelistLong {
		n, ids = order.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return damaged("%d free pages", n)
	}
	for i := range n {
		free := order.Uint64(ids[8*i:])
		if free < 2 || free >= p.count || p.seen[free] {
			return damaged("page %d is free and in use", free)
		}
		p.seen[free] = true
	}
	return nil
}

// element is the i-th of a page, and what is behind it.
func element(body []byte, i int) ([]byte, error) {
	at := pageHead + i*elementHead
	if at+elementHead > len(body) {
		return nil, damaged("more elements than room")
	}
	return body[at:], nil
}

func cut(from []byte, at, size uint32) ([]byte, error) {
	end := uint64(at) + uint64(size)
	if end > uint64(len(from)) {
		return nil, damaged("an element beyond its page")
	}
	return from[at:end], nil
}

// ordered tells whether keys are what is said of them: first, if not nil, is the first, and all are below high, if that is not nil.
func ordered(keys [][]byte, first, high []byte) error {
	if first != nil && (len(keys) == 0 || !bytes.Equal(keys[0], first)) {
		return damaged("a page does not begin as it should")
	}
	for i, key := range keys {
		if i > 0 && bytes.Compare(keys[i-1], key) >= 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return damaged("keys out of their order")
		}
	}
	return nil
}
