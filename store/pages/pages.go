// SPDX-License-Identifier: Apache-2.0

// Package pages checks the pages of a bbolt database before bbolt reads them. One damaged byte
// can make bbolt follow pages in a circle until memory is exhausted.
package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"go.etcd.io/bbolt"
)

// Forms of bbolt's pages, version 2 of its files: a header of number (8 bytes), kind (2),
// count (2) and further pages (4), and then elements of 16 bytes each, in the byte order of
// the machine.
const (
	pageHeader  = 16
	pageElement = 16
	branchPage  = 1
	leafPage    = 2
	freePage    = 16
	bucketLeaf  = 1 // this element of a leaf is a bucket
	mostDepth   = 32

	// The offsets in the two meta pages, of which each transaction has one, of the page of the
	// free list and of the transaction.
	metaFreeList, metaTransaction = 48, 64
	noFreeList                    = ^uint64(0) // the file has no free list
)

// walk follows the trees of a database in its file, before bbolt does: bbolt trusts the pages,
// and would follow a circle of them until memory is exhausted.
type walk struct {
	file io.ReaderAt
	size uint64 // of a page
	n    uint64 // number of pages
	seen map[uint64]bool
}

// Check returns an error unless the pages of a database have the properties on which bbolt
// relies: the trees of all buckets and the free list contain each page at most once, and only
// existing pages. It reads the file independently of bbolt, and bounds its memory by the file's
// size.
func Check(tx *bbolt.Tx) error {
	file, err := os.Open(tx.DB().Path())
	if err != nil {
		return err
	}
	defer file.Close()
	size := uint64(tx.DB().Info().PageSize)
	w := walk{file: file, size: size, n: uint64(tx.Size()) / size, seen: map[uint64]bool{}}
	if err := w.check(uint64(tx.Cursor().Bucket().Root()), uint64(tx.ID())); err != nil {
		return fmt.Errorf("database is damaged: %w", err)
	}
	return nil
}

// check checks the tree of buckets from its root, the trees of these buckets, and the free list
// of this transaction.
func (w *walk) check(root, transaction uint64) error {
	if err := w.freeList(transaction); err != nil {
		return err
	}
	return w.tree(root, true, 0)
}

func (w *walk) freeList(transaction uint64) error {
	order := binary.NativeEndian
	for meta := range uint64(2) {
		var page [metaTransaction + 8]byte
		if err := w.read(page[:], meta); err != nil {
			return err
		}
		if order.Uint64(page[metaTransaction:]) != transaction {
			continue
		}
		id := order.Uint64(page[metaFreeList:])
		if id == noFreeList {
			return nil
		}
		if id < 2 || id >= w.n {
			return fmt.Errorf("the free list's page %d is not there", id)
		}
		w.seen[id] = true
		var head [pageHeader + 8]byte
		if err := w.read(head[:], id); err != nil {
			return err
		}
		const counted = 0xffff // the first element has the count
		count, more := uint64(order.Uint16(head[10:])), uint64(order.Uint32(head[12:]))
		if count == counted {
			count = order.Uint64(head[pageHeader:])
		}
		if order.Uint64(head[:]) != id || order.Uint16(head[8:]) != freePage || id+more >= w.n || count > (more+1)*w.size/8 {
			return fmt.Errorf("the free list's page %d has a wrong header", id)
		}
		return nil
	}
	return errors.New("no meta page is of this transaction")
}

// tree checks the page id and the pages below it. buckets says that the leaves contain buckets.
func (w *walk) tree(id uint64, buckets bool, depth int) error {
	if id < 2 || id >= w.n || w.seen[id] || depth > mostDepth {
		return fmt.Errorf("page %d is not there, or is used twice", id)
	}
	w.seen[id] = true
	var head [pageHeader]byte
	if err := w.read(head[:], id); err != nil {
		return err
	}
	order := binary.NativeEndian
	kind, count, more := order.Uint16(head[8:]), int(order.Uint16(head[10:])), uint64(order.Uint32(head[12:]))
	room := (more + 1) * w.size
	switch {
	case order.Uint64(head[:]) != id || kind != branchPage && kind != leafPage || id+more >= w.n:
		return fmt.Errorf("page %d has a wrong header", id)
	case pageHeader+pageElement*uint64(count) > room:
		return fmt.Errorf("page %d is too small for what it has", id)
	case kind == branchPage:
		return w.branch(id, count, buckets, depth)
	case !buckets:
		return nil
	}
	page := make([]byte, room)
	if err := w.read(page, id); err != nil {
		return err
	}
	return w.leaf(page, count, func(value []byte) error {
		return w.bucket(value, depth)
	})
}

func (w *walk) branch(id uint64, count int, buckets bool, depth int) error {
	if count == 0 {
		return fmt.Errorf("page %d has no branches", id)
	}
	page := make([]byte, pageHeader+pageElement*count)
	if err := w.read(page, id); err != nil {
		return err
	}
	for i := range count {
		child := binary.NativeEndian.Uint64(page[pageHeader+pageElement*i+8:])
		if err := w.tree(child, buckets, depth+1); err != nil {
			return err
		}
	}
	return nil
}

var errElement = errors.New("a page has an element that is not within it")

// leaf checks the elements of a leaf and calls bucket for each element that is a bucket. If
// bucket is nil, no element may be one.
func (w *walk) leaf(page []byte, count int, bucket func(value []byte) error) error {
	order := binary.NativeEndian
	for i := range count {
		at := pageHeader + pageElement*i
		e := page[at:]
		kind, pos, key, value := order.Uint32(e), uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
		from := uint64(at) + pos + key
		switch {
		case from+value > uint64(len(page)) || kind&bucketLeaf != 0 && bucket == nil:
			return errElement
		case kind&bucketLeaf != 0:
			if err := bucket(page[from : from+value]); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket checks the value of a bucket: the number of its root page (8 bytes), a sequence number
// (8) and, if the root is 0, a leaf page with its whole content.
func (w *walk) bucket(value []byte, depth int) error {
	const header = 16
	if len(value) < header {
		return errElement
	}
	order := binary.NativeEndian
	if root := order.Uint64(value); root != 0 {
		return w.tree(root, false, depth+1)
	}
	page := value[header:]
	if len(page) < pageHeader || order.Uint16(page[8:]) != leafPage {
		return errors.New("a bucket within a page is no leaf")
	}
	count := int(order.Uint16(page[10:]))
	if pageHeader+pageElement*count > len(page) {
		return errElement
	}
	return w.leaf(page, count, nil)
}

func (w *walk) read(p []byte, id uint64) error {
	if _, err := w.file.ReadAt(p, int64(id*w.size)); err != nil {
		return fmt.Errorf("cannot read page %d: %w", id, err)
	}
	return nil
}
