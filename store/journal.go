// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/store/durable"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// journal is the content of the commit file: the newest commit with the numbers that show
// whether the database lacks it, or lacks more than this one.
//
// On disk, big-endian: magic · u64 commit · u64 counter · u32 n · n × { u8 bucket · u8 deleted ·
// u32 len · key · u32 len · value } · SHA-256 of all before.
type journal struct {
	commit  uint64
	counter uint64 // highest activation counter ever committed
	changes []record.Record
}

const (
	journalMagic = "digestd journal 1\n"
	// maxJournal bounds the file that is read; a first sync of 100,000 packages stays below it.
	maxJournal = 256 << 20
)

var errJournal = errors.New("commit file is damaged")

// size returns the size of the file in bytes.
func (j journal) size() int {
	size := len(journalMagic) + 20 + sha256.Size
	for _, c := range j.changes {
		size += recordSize(c)
	}
	return size
}

func recordSize(c record.Record) int { return 10 + len(c.Key) + len(c.Value) }

// write writes the file change by change: the one of a first sync is as large as the index.
func (j journal) write(to io.Writer) error {
	out := bufio.NewWriterSize(to, 64<<10)
	sum := sha256.New()
	w := io.MultiWriter(out, sum)
	b := append(make([]byte, 0, 1024), journalMagic...)
	b = binary.BigEndian.AppendUint64(b, j.commit)
	b = binary.BigEndian.AppendUint64(b, j.counter)
	b = binary.BigEndian.AppendUint32(b, uint32(len(j.changes)))
	w.Write(b) // Flush returns an error
	for _, c := range j.changes {
		deleted := byte(0)
		if c.Value == nil {
			deleted = 1
		}
		b = append(b[:0], c.Bucket, deleted)
		b = binary.BigEndian.AppendUint32(b, uint32(len(c.Key)))
		b = append(b, c.Key...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(c.Value)))
		b = append(b, c.Value...)
		w.Write(b)
	}
	out.Write(sum.Sum(nil))
	return out.Flush()
}

func decodeJournal(b []byte) (journal, error) {
	var j journal
	if len(b) < len(journalMagic)+20+sha256.Size || !bytes.HasPrefix(b, []byte(journalMagic)) {
		return j, errJournal
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return j, errJournal
	}
	b = body[len(journalMagic):]
	j.commit = binary.BigEndian.Uint64(b)
	j.counter = binary.BigEndian.Uint64(b[8:])
	n := binary.BigEndian.Uint32(b[16:])
	b = b[20:]
	field := func() ([]byte, bool) {
		if len(b) < 4 {
			return nil, false
		}
		size := binary.BigEndian.Uint32(b)
		if uint64(size) > uint64(len(b)-4) {
			return nil, false
		}
		f := b[4 : 4+size : 4+size]
		b = b[4+size:]
		return f, true
	}
	for range n {
		if len(b) < 2 || int(b[0]) >= len(record.Buckets) || b[1] > 1 {
			return j, errJournal
		}
		c := record.Record{Bucket: b[0]}
		deleted := b[1] == 1
		b = b[2:]
		key, ok := field()
		value, ok2 := field()
		if !ok || !ok2 {
			return j, errJournal
		}
		c.Key = key
		if !deleted {
			c.Value = value
		}
		j.changes = append(j.changes, c)
	}
	if len(b) != 0 {
		return j, errJournal
	}
	return j, nil
}

// readJournal reads the file. The error is fs.ErrNotExist if there is none.
func readJournal(path string) (journal, error) {
	f, err := os.Open(path)
	if err != nil {
		return journal{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxJournal+1))
	if err != nil {
		return journal{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if len(data) > maxJournal {
		return journal{}, fmt.Errorf("cannot read %s: %w", path, errJournal)
	}
	j, err := decodeJournal(data)
	if err != nil {
		return journal{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return j, nil
}

// writeJournal replaces the file durably: when it returns nil, j is on disk. After an error the
// former file is in place.
func writeJournal(path string, j journal) error {
	if size := j.size(); size > maxJournal {
		return fmt.Errorf("cannot write %s: %d bytes are more than it can hold", path, size)
	}
	tmp := path + ".new"
	if err := durable.Create(tmp, 0o600, j.write); err != nil {
		return err
	}
	if err := (placement{unix.Renameat2, durable.SyncDir}).place(tmp, path); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// placement is how a file gets its name; tests make it fail.
type placement struct {
	rename func(olddir int, old string, newdir int, path string, flags uint) error
	sync   func(dir string) error
}

// place gives the file tmp the name path, durably. After an error the file that had the name
// has it again: nobody knows whether the disk has the new one, and a start must not find it.
func (p placement) place(tmp, path string) error {
	rename := func(from, to string, flags uint) error {
		return p.rename(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
	}
	defer os.Remove(tmp)
	err := rename(tmp, path, unix.RENAME_EXCHANGE)
	back := func() error { return rename(tmp, path, unix.RENAME_EXCHANGE) }
	switch {
	case errors.Is(err, unix.ENOENT): // there is none yet
		back = func() error { return os.Remove(path) }
		err = rename(tmp, path, 0)
	case err != nil: // the file system cannot exchange
		old := path + ".old"
		os.Remove(old)
		if err = os.Link(path, old); err != nil {
			back = func() error { return nil } // nor keep the former one: it has no links
		} else {
			back = func() error { return rename(old, path, 0) }
		}
		defer os.Remove(old)
		err = rename(tmp, path, 0)
	}
	if err != nil {
		return err
	}
	if err := p.sync(filepath.Dir(path)); err != nil {
		return errors.Join(err, back())
	}
	return nil
}
