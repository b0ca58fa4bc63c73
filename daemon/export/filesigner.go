// SPDX-License-Identifier: Apache-2.0

package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/store/record"
)

// executable reports whether a kernel may run or load the file: what is marked so,
// and what libraries and kernel modules are called.
func executable(f header.File) bool {
	if !f.Regular() || f.Ghost() || len(f.Digest) == 0 {
		return false
	}
	if f.Mode&0o111 != 0 {
		return true
	}
	base := string(f.Base)
	for _, packed := range []string{".gz", ".xz", ".zst"} {
		if module, ok := strings.CutSuffix(base, packed); ok && path.Ext(module) == ".ko" {
			return true
		}
	}
	return strings.HasSuffix(base, ".ko") || strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.")
}

// fileSigner keeps the signatures on the files of installed packages as lists
// allow. One goroutine uses it.
type fileSigner struct {
	*Exporter
	done  map[instance]string                           // what the files of an installed package were last made to be
	stale bool                                          // rpm's database may have other packages than were seen last
	off   bool                                          // no file shall have a signature
	rest  time.Duration                                 // before what failed is tried again; 0 when nothing did
	again <-chan time.Time                              // when it is
	cache map[record.Digest]map[string]identity.Vouched // of lists that were read last, by their files
}

// instance is one installation of a package: the same header installed again
// brings other files.
type instance struct {
	header    record.Digest
	number    uint32 // in rpm's database
	installed uint32 // when, in seconds since 1970
}

func newFileSigner(x *Exporter) *fileSigner {
	return &fileSigner{Exporter: x, done: map[instance]string{}, cache: map[record.Digest]map[string]identity.Vouched{}, stale: true, off: !x.Config.IMASignatures}
}

// FilesToSign wakes the goroutine that signs files, after rpm's database was read. If anew
// is set that goroutine also checks the files that it checked before.
func (x *Exporter) FilesToSign(anew bool) {
	x.databaseRead.Store(true)
	if anew {
		x.signAnew.Store(true)
	}
	x.WakeNeighbours()
}

// switchedOff reports whether there are signatures to take back.
func (f *fileSigner) switchedOff() (off bool) {
	f.Exec.Enter(context.Background(), "note", func(s *ledger.Ledger) error {
		off = f.off && s.SignsFiles
		return nil
	})
	return off
}

// errPutOff means that files are left to sign, for which it is not the time: packages
// change, or signatures have to go first.
var errPutOff = errors.New("files are left to sign")

// follow brings the files of all packages in line with the lists. Failures are retried after
// growing pauses.
func (f *fileSigner) follow(ctx context.Context) error {
	if f.off {
		return nil
	}
	err := f.catchUp(ctx)
	f.again = nil
	switch {
	case errors.Is(err, errPutOff):
		return nil
	case err == nil:
		f.rest = 0
	default:
		f.rest = min(max(2*f.rest, host.FirstChore), host.LastChore)
		f.again = time.After(f.rest)
		f.stale = true
	}
	return err
}

// target is what the files of all packages are to carry.
type target struct {
	snap *view.Snapshot
	id   *identity.Identity
	want map[record.Digest]*view.Entry // active lists, by their header
}

func (f *fileSigner) target() *target {
	t := &target{snap: f.Snapshot(), id: f.Builder.Load().Identity}
	t.want = make(map[record.Digest]*view.Entry, len(t.snap.Entries))
	for _, e := range t.snap.Entries {
		if e.Active() && !e.Broken && e.Grace == "" {
			t.want[e.Header] = e
		}
	}
	return t
}

// of returns what stands for the signatures of a package: equal for equal ones.
func (t *target) of(header record.Digest) string {
	if e := t.want[header]; e != nil {
		return t.id.SKI() + e.Body.String()
	}
	return "none"
}

func (f *fileSigner) catchUp(ctx context.Context) error {
	if f.signAnew.Swap(false) {
		clear(f.done)
		f.stale = true
	}
	if f.databaseRead.Swap(false) {
		f.stale = true
	}
	gone, err := f.takeGone(ctx)
	if err != nil {
		return err
	}
	t := f.target()
	err = f.unsign(t.snap, t.id, gone)
	changing := t.snap.Open > 0
	if !f.behind(t, changing) {
		return err
	}
	if rerr := f.remember(ctx, true); rerr != nil {
		return rerr
	}
	var failed failures
	failed.add(err)
	// Signatures that must go do not wait for those that are to come, which may
	// take a slow key minutes.
	left := f.removeStale(ctx, t, &failed)
	if failed.n == 0 {
		f.stale = changing
	}
	if len(left) > 0 && changing {
		return cmp.Or(failed.err(), errPutOff)
	}
	if len(left) > 0 {
		if err := f.addMissing(ctx, t, left, &failed); err != nil {
			f.stale = true
			return cmp.Or(failed.err(), err)
		}
	}
	return failed.err()
}

// removeStale removes the signatures that must go, and returns the packages that lack some.
func (f *fileSigner) removeStale(ctx context.Context, t *target, failed *failures) (left map[instance]bool) {
	left = map[instance]bool{}
	installed := map[instance]bool{}
	failed.add(f.eachInstalled(ctx, func(i instance, h *header.Header) error {
		installed[i] = true
		if f.done[i] == t.of(i.header) {
			return nil
		}
		more, err := f.settle(t.snap, t.id, h, t.want[i.header], false)
		switch {
		case more:
			left[i] = true
			delete(f.done, i)
		case err == nil:
			f.done[i] = t.of(i.header)
		}
		failed.add(err)
		return nil
	}))
	if failed.n == 0 {
		maps.DeleteFunc(f.done, func(i instance, _ string) bool { return !installed[i] })
	}
	return left
}

// addMissing adds the signatures that packages lack, until errPutOff says that packages change.
func (f *fileSigner) addMissing(ctx context.Context, t *target, left map[instance]bool, failed *failures) error {
	err := f.eachInstalled(ctx, func(i instance, h *header.Header) error {
		if !left[i] {
			return nil
		}
		_, err := f.settle(t.snap, t.id, h, t.want[i.header], true)
		if errors.Is(err, errPutOff) {
			return err
		}
		if err == nil {
			f.done[i] = t.of(i.header)
		}
		failed.add(err)
		return nil
	})
	if errors.Is(err, errPutOff) {
		return err
	}
	failed.add(err)
	return nil
}

// failures counts errors and keeps the first.
type failures struct {
	first error
	n     int
}

func (f *failures) add(err error) {
	if err != nil {
		f.n++
		f.first = cmp.Or(f.first, err)
	}
}

func (f *failures) err() error {
	if f.n > 1 {
		return fmt.Errorf("%w; and %s like it", f.first, view.Plural(f.n-1, "failure"))
	}
	return f.first
}

// takeBack removes all our signatures, since they were switched off.
func (f *fileSigner) takeBack(ctx context.Context) error {
	snap, id := f.Snapshot(), f.Builder.Load().Identity
	var failed failures
	failed.add(f.eachInstalled(ctx, func(_ instance, h *header.Header) error {
		_, err := f.settle(snap, id, h, nil, false)
		failed.add(err)
		return nil
	}))
	err := failed.err()
	if err == nil {
		err = f.remember(ctx, false)
	}
	if err == nil {
		f.Logger.Info("signatures taken off files", "reason", "ima-signatures is off")
	}
	return err
}

// eachInstalled calls fn for each header of rpm's database that can be read, until
// it returns an error.
func (f *fileSigner) eachInstalled(ctx context.Context, fn func(instance, *header.Header) error) error {
	db, err := f.Database()
	if errors.Is(err, rpmdb.ErrNoDatabase) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot sign files: %w", err)
	}
	err = db.Headers(ctx, func(number uint32, blob []byte) error {
		h, err := header.Parse(blob)
		if err != nil {
			return nil
		}
		digest, err := h.Digest()
		if err != nil {
			return nil
		}
		when, _ := h.Unsigned().Uint32(header.TagInstallTime)
		return fn(instance{digest, number, when}, h)
	})
	if err != nil && !errors.Is(err, errPutOff) {
		return fmt.Errorf("cannot sign files: %w", err)
	}
	return err
}

// behind reports whether some package's files may not be as its list allows.
// While packages change only what went counts: what comes is signed as it is
// unpacked, and is not in rpm's database yet.
func (f *fileSigner) behind(t *target, changing bool) bool {
	seen := make(map[record.Digest]bool, len(f.done))
	for i, was := range f.done {
		if t.want[i.header] == nil && was != "none" {
			return true
		}
		seen[i.header] = seen[i.header] || was == t.of(i.header)
	}
	if changing {
		return false
	}
	for header := range t.want {
		if !seen[header] {
			return true
		}
	}
	return f.stale
}

// remember notes in the index whether files may bear signatures of ours, before
// the first does and after the last.
func (f *fileSigner) remember(ctx context.Context, signs bool) error {
	return f.Exec.Decide(ctx, "signs", func(s *ledger.Ledger) error {
		if s.SignsFiles == signs {
			return nil
		}
		value := []byte{1}
		if !signs {
			value = nil
		}
		s.Queue.Batch.SetMeta(ledger.MetaSigned, value)
		s.SignsFiles = signs
		return nil
	})
}
