// SPDX-License-Identifier: Apache-2.0

package contents

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store/record"
)

// MaxSize bounds the files that are hashed, in bytes. The guard does not learn the digests of
// larger files.
const MaxSize = 4 << 30

// Learner reads files for lists. It is for one goroutine.
type Learner struct {
	root   *kernel.Root
	differ map[string]stamp // files whose content was not that of a list
}

// stamp tells whether a file was changed since.
type stamp struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
	ctime    unix.Timespec
}

// NewLearner returns one for the files below root.
func NewLearner(root *kernel.Root) *Learner {
	return &Learner{root: root, differ: map[string]stamp{}}
}

// Learned is what became known of the contents of a list.
type Learned struct {
	Body   record.Digest // of the list
	Sums   Sums
	Others int   // contents that the list knows by another digest than SHA-256
	Known  int   // those of which that is known
	New    int   // contents that are known now, and were not
	Absent int   // files that are not there, or have another content than the list says
	Failed int   // files that cannot be read
	Err    error // why the first of them cannot
}

// Learn reads the files of a list whose contents are not among known. moved says where they
// lie.
// It goes on after a file that cannot be read; it ends early with ctx.
func (l *Learner) Learn(ctx context.Context, name string, list []byte, moved header.Relocations, known Sums) (r Learned, err error) {
	body := bodyOf(list)
	r.Body = sha256.Sum256(body)
	r.Sums = slices.Clone(known)
	err = walk(name, body, func(algo digestlist.Algo, digest, path []byte) error {
		if algo == digestlist.SHA256 {
			return nil
		}
		i := r.Others
		r.Others++
		if _, is := r.Sums.at(i); is {
			r.Known++
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		sum, err := l.read(moved.Path(string(path)), algo, digest)
		switch {
		case err != nil:
			if r.Failed++; r.Err == nil {
				r.Err = fmt.Errorf("cannot hash %s: %w", path, err)
			}
		case sum == nil:
			r.Absent++
		default:
			r.Sums = r.Sums.set(i, *sum)
			r.New++
			r.Known++
		}
		return nil
	})
	return r, err
}

// read returns the SHA-256 of a file's content, nil if there is none with that digest.
func (l *Learner) read(path string, algo digestlist.Algo, digest []byte) (*guard.Digest, error) {
	f, err := l.root.Find(path, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, kernel.ErrNotRegular) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	now := stamp{f.Stat.Dev, f.Stat.Ino, f.Stat.Size, f.Stat.Mtim, f.Stat.Ctim}
	if was, known := l.differ[path]; known && was == now {
		return nil, nil
	}
	if algo.Hash() == 0 {
		return nil, fmt.Errorf("digests by %s cannot be compared", algo)
	}
	sums, err := f.Digests(MaxSize, algo, digestlist.SHA256)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(sums[algo], digest) {
		if len(l.differ) >= maxDiffer {
			clear(l.differ)
		}
		l.differ[path] = now
		return nil, nil
	}
	delete(l.differ, path)
	return (*guard.Digest)(sums[digestlist.SHA256]), nil
}

// maxDiffer bounds the files that are remembered for not being what a list says.
const maxDiffer = 10_000
