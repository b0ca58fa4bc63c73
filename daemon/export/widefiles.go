// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// wideFiles are the files that lists vouch for by another digest than SHA-256, with
// the SHA-256 of their content: each is read once for each change of it.
type wideFiles struct {
	root        *kernel.Root
	known, seen map[string]wideFile
}

// wideFile is what a file was when it was read.
type wideFile struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
	ctime    unix.Timespec
	want     identity.Vouched
	sum      string // SHA-256; "" where the content is not what the list has
}

func (w *wideFiles) begin(root *kernel.Root) { w.root, w.seen = root, map[string]wideFile{} }

// end forgets the files that were not asked for since begin.
func (w *wideFiles) end() { w.known, w.seen = w.seen, nil }

// sha256 returns the SHA-256 of a file, nil where its content is not what want says.
func (w *wideFiles) sha256(path string, want identity.Vouched) ([]byte, error) {
	f, err := w.root.Find(path, false)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	defer f.Close()
	now := wideFile{f.Stat.Dev, f.Stat.Ino, f.Stat.Size, f.Stat.Mtim, f.Stat.Ctim, want, ""}
	was := w.known[path]
	now.sum = was.sum
	if now != was {
		now.sum = ""
		sums, err := contentDigests(f, []identity.Vouched{want})
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
		if string(sums[want.Algo]) == want.Digest {
			now.sum = string(sums[digestlist.SHA256])
		}
	}
	w.seen[path] = now
	if now.sum == "" {
		return nil, nil
	}
	return []byte(now.sum), nil
}

// tellOfLeft tells the administrator what an export leaves out.
func (x *Exporter) tellOfLeft(e *export, left *failures) {
	id := e.name + "-left-out"
	x.Exec.Enter(context.Background(), "note", func(s *ledger.Ledger) error {
		had := len(s.Problems)
		if left.n == 0 {
			s.Solved(id)
		} else {
			s.Problem(id, api.SeverityWarning, "some files have another digest than SHA-256 in their lists, and are missing from the file of "+e.name+" reads: "+api.Clean(left.err().Error()),
				"make the files readable, then: digestctl sync")
		}
		if left.n > 0 || len(s.Problems) != had {
			s.Show()
		}
		return nil
	})
}
