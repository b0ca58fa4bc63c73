// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// look reads of the directory what the state is to compare, and changes nothing. It omits lists
// that still have the stamp with which they were published. Many are read on all processors: a
// start reads every list.
func (x *Executor) look(all []state.Expected) (found []state.Seen) {
	if len(all) <= manyLists {
		return x.lookAt(all)
	}
	parts := slices.Collect(slices.Chunk(all, manyLists))
	seen := make([][]state.Seen, len(parts))
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(parts); i = next.Add(1) - 1 {
				seen[i] = x.lookAt(parts[i])
			}
		})
	}
	group.Wait()
	return slices.Concat(seen...)
}

func (x *Executor) lookAt(all []state.Expected) (found []state.Seen) {
	var buf []byte
	for _, e := range all {
		stamp, err := x.Dir.Stat(e.Name)
		if err == nil && e.Entry != nil && stamp == e.Entry.Stamp {
			continue
		}
		found = append(found, x.see(e, stamp, err, &buf))
	}
	return found
}

func (x *Executor) see(e state.Expected, stamp record.Stamp, err error, buf *[]byte) state.Seen {
	v := state.Seen{Expected: e, Stamp: stamp, Missing: errors.Is(err, fs.ErrNotExist)}
	if err != nil {
		v.Err = err
		return v
	}
	if e.Entry == nil || !stamp.Regular || stamp.Links != 1 {
		if v.Size, err = x.Dir.Size(e.Name, state.MaxAsideBytes); err != nil {
			v.Err = err
			return v
		}
	}
	if !stamp.Regular {
		return v
	}
	data, err := x.Dir.Read(e.Name, *buf)
	var system *fs.PathError
	switch {
	case errors.As(err, &system):
		v.Read = err
		return v
	case err != nil:
		v.Odd, v.Size = err.Error(), stamp.Size
		return v
	}
	*buf = data
	v.Size = stamp.Size
	v.File = sha256.Sum256(data)
	content, sig, kind, err := digestlist.SplitSignature(data)
	if err != nil {
		content = data
	}
	if e.Entry != nil && v.File == e.Entry.File {
		if e.Entry.Refs == nil {
			if format, _, ferr := ledger.FormatOf(e.Name); ferr == nil {
				v.Refs, _ = MakeRefs(format, content, e.Entry.Files)
			}
		}
		return v
	}
	v.Body = sha256.Sum256(content)
	v.Torn = torn(e.Name, data)
	if err == nil && kind == digestlist.SigPKCS7 {
		certs := x.State.OwnCertificates()
		if x.State.Unsettled && x.Hooks.Lent != nil {
			certs = append(certs, x.Hooks.Lent()...)
		}
		_, err = digestlist.VerifyPKCS7(content, sig, certs)
		v.Signed = err == nil
	}
	return v
}

// doubted reports whether a list is not what the enforcer was told of. After a start all are
// looked at, and most are.
func doubted(v state.Seen) bool {
	return v.Entry != nil && (v.Entry.Stamp != record.Stamp{} || v.Missing || v.File != v.Entry.File)
}

// Inspect looks at these names, or at every list that is active if names is nil, and
// puts right what can be.
func (x *Executor) Inspect(names map[string]bool) (d Done, err error) {
	s := x.State
	if err := x.Dir.CheckPath(); err != nil {
		d, _ := x.Step("inspect", false, func(s *ledger.Ledger) error {
			s.PathChecked(err)
			return nil
		})
		return d, err
	}
	var all []state.Expected
	var gone []string
	var left []record.Aside
	if names == nil {
		all = s.Lists()
		gone, left = x.quarantine()
	}
	for name := range names {
		all = append(all, s.Expects(name))
	}
	found := x.look(all)
	if x.Hooks.Enforcer != nil && slices.ContainsFunc(found, doubted) {
		x.Hooks.Enforcer.Doubt()
	}
	return x.Step("inspect", false, func(s *ledger.Ledger) error {
		if names == nil {
			s.AsidesGone(gone)
			s.AsidesFound(left)
		}
		s.Inspected(found)
		return nil
	})
}

// quarantine compares the quarantine with its records: which of these are of files that
// somebody has taken away, and which files have no record.
func (x *Executor) quarantine() (gone []string, left []record.Aside) {
	names, err := x.Dir.Quarantined()
	if err != nil {
		x.log.Error("quarantine not looked at", "error", err)
		return nil, nil
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for _, a := range x.State.Asides {
		if !there[a.Name] {
			gone = append(gone, a.Name)
		}
		delete(there, a.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if size, err := x.Dir.QuarantinedSize(name, state.MaxAsideBytes); err == nil {
			left = append(left, record.Aside{Name: name, Size: size})
		}
	}
	return gone, left
}

// Strangers looks for what lies in the directory and is not expected there, and has it
// set aside or removed. It returns how many were set aside.
func (x *Executor) Strangers() (aside int, d Done, err error) {
	found, err := x.unexpected()
	if err != nil || len(found) == 0 {
		return 0, d, err
	}
	d, err = x.Step("inspect", false, func(s *ledger.Ledger) error {
		aside = s.Inspected(found)
		return nil
	})
	return aside, d, err
}

// unexpected looks at what lies in the directory and is not expected there.
func (x *Executor) unexpected() ([]state.Seen, error) {
	names, err := x.Dir.Names()
	if err != nil {
		return nil, err
	}
	var all []state.Expected
	for _, name := range names {
		if e := x.State.Expects(name); e.Entry == nil {
			all = append(all, e)
		}
	}
	return x.look(all), nil
}

// addUnknown adds to p what is to become of what is not expected in the directory.
func (x *Executor) addUnknown(p *state.Plan) error {
	found, err := x.unexpected()
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(v state.Seen) bool {
		return slices.ContainsFunc(p.Withdraw, func(w state.Withdrawal) bool { return w.Name == v.Name }) ||
			slices.ContainsFunc(p.Publish, func(c state.Publication) bool { return c.Name == v.Name })
	})
	x.State.Inspected(found)
	more := x.State.Seal()
	p.Withdraw, p.Aside = append(p.Withdraw, more.Withdraw...), append(p.Aside, more.Aside...)
	return nil
}

// Hold holds the lists that are active, by descriptors.
func (x *Executor) Hold() {
	names := x.State.ToHold()
	fresh, err := x.Dir.Hold(names)
	x.Step("hold", false, func(s *ledger.Ledger) error {
		s.Held(fresh, err)
		return nil
	})
}

// MakeRefs reads the files of a list's body.
func MakeRefs(format string, body []byte, hint int) (*view.Refs, error) {
	r := &view.Refs{Digests: make([]uint64, 0, hint), Paths: make([]uint64, 0, hint)}
	err := digestlist.Walk(format, body, func(algo digestlist.Algo, digest, path []byte) error {
		r.Wide = r.Wide || algo != digestlist.SHA256
		r.Digests = append(r.Digests, view.DigestRef(digest))
		r.Paths = append(r.Paths, view.PathRef(path))
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(r.Digests)
	slices.Sort(r.Paths)
	return r, nil
}

// TornBlock is the unit in which file systems lose what was not synced.
const TornBlock = 4096

// torn reports whether data is what a loss of power leaves of a list that was renamed
// into place and not yet synced: nothing, a part of it, or blocks of zeros where it
// was never written. No kernel accepts such a list, and a whole one has no such block.
func torn(name string, data []byte) bool {
	for block := data; ; block = block[TornBlock:] {
		n := min(len(block), TornBlock)
		if zeros(block[:n]) {
			return true // also of no bytes at all
		}
		if len(block) <= TornBlock {
			break
		}
	}
	if _, _, _, err := digestlist.SplitSignature(data); err == nil {
		return false
	}
	format, _, err := ledger.FormatOf(name)
	return err == nil && digestlist.Walk(format, data, func(digestlist.Algo, []byte, []byte) error { return nil }) != nil
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
