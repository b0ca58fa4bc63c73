// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// SignBudget bounds how long one transaction of a package manager waits for
// signatures on files in all; what is left then is signed when it is over. With the
// signature of a list it stays below what the plugin waits for one answer.
const SignBudget = 3 * time.Second

// vouched reads which digest an active list has for each path, as the package
// names it.
func (x *Exporter) vouched(e *view.Entry) (map[string]identity.Vouched, error) {
	files := make(map[string]identity.Vouched, e.Files)
	err := x.EachFile(e, func(algo digestlist.Algo, digest, path []byte) error {
		files[string(path)] = identity.Vouched{Algo: algo, Digest: string(digest)}
		return nil
	})
	return files, err
}

// SignaturesFor makes the signatures that the plugin puts on a package's files
// while they are unpacked, before a scriptlet can run one. It returns those that
// are ready when budget is over, whatever the key does.
func (x *Exporter) SignaturesFor(ctx context.Context, h *header.Header, list string, budget time.Duration) (sigs []wire.FileSignature, err error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	e := x.Snapshot().List(list)
	if e == nil {
		e = &view.Entry{List: record.List{Name: list}}
	}
	files, err := x.vouched(e)
	if err != nil {
		return nil, fmt.Errorf("cannot sign files of %s: %w", list, err)
	}
	type toSign struct {
		index uint32
		file  identity.Vouched
	}
	var todo []toSign
	err = h.Files(func(f header.File) error {
		if v := files[f.Path()]; executable(f) && v.Digest == string(f.Digest) {
			todo = append(todo, toSign{uint32(f.Index), v})
		}
		return nil
	})
	if err != nil || len(todo) == 0 {
		return nil, err
	}
	id := x.Builder.Load().Identity
	made := make(chan wire.FileSignature)
	failed := make(chan error, 1)
	go func() {
		for _, f := range todo {
			if ctx.Err() != nil {
				break
			}
			value, err := id.IMASignature(f.file)
			if err != nil && f.file.Algo != digestlist.SHA256 {
				continue // the key cannot; the content is needed, which is not there yet
			}
			if err != nil {
				failed <- err
				return
			}
			select {
			case made <- wire.FileSignature{File: f.index, Value: value}:
			case <-ctx.Done():
			}
		}
		failed <- nil
	}()
	for {
		select {
		case s := <-made:
			sigs = append(sigs, s)
		case err := <-failed:
			return sigs, err
		case <-ctx.Done():
			return sigs, nil
		}
	}
}

// settle looks at the files of one installed package. It takes our signature off
// those that e does not vouch for; e is nil when no list does. The others are signed
// if sign is set, else left says that some have to be.
func (f *fileSigner) settle(snap *view.Snapshot, id *identity.Identity, h *header.Header, e *view.Entry, sign bool) (left bool, err error) {
	files := map[string]identity.Vouched{}
	if e != nil {
		if files, err = f.listed(e); err != nil {
			return false, fmt.Errorf("cannot sign files of %s: %w", e.Name, err)
		}
	}
	var failed failures
	moved, err := h.Relocations()
	failed.add(err)
	err = h.Files(func(file header.File) error {
		if !executable(file) {
			return nil
		}
		if sign && (len(f.ListsChanged) > 0 || f.Snapshot().Open > 0) {
			return errPutOff
		}
		path := file.Path()
		var want []identity.Vouched
		if v := files[path]; v.Digest != "" && v.Digest == string(file.Digest) {
			want = append(want, v)
		}
		more, err := f.settleFile(snap, id, moved.Path(path), want, sign)
		left = left || more
		failed.add(err)
		return nil
	})
	if errors.Is(err, errPutOff) {
		return true, err
	}
	failed.add(err)
	return left, failed.err()
}

// takeGone returns the lists that have gone since, when the snapshot knows of that.
func (f *fileSigner) takeGone(ctx context.Context) ([]goneList, error) {
	gone := f.gone.take()
	if len(gone) == 0 {
		return nil, nil
	}
	err := f.Exec.Enter(ctx, "show", func(s *ledger.Ledger) error {
		s.Show()
		return nil
	})
	if err != nil {
		f.gone.add(gone...)
	}
	return gone, err
}

// unsign looks at the files of lists that have gone: one that no other list vouches
// for loses our signature, whether a package has it still or not.
func (f *fileSigner) unsign(snap *view.Snapshot, id *identity.Identity, gone []goneList) error {
	var failed failures
	var again []goneList
	for _, g := range gone {
		var of failures
		err := host.WalkList(g.name, g.data, func(_ digestlist.Algo, _, path []byte) error {
			_, err := f.settleFile(snap, id, g.moved.Path(string(path)), nil, false)
			of.add(err)
			return nil
		})
		of.add(err)
		if of.n > 0 {
			again = append(again, g)
		}
		failed.add(of.err())
	}
	f.gone.add(again...)
	return failed.err()
}

// goneList is a list that left the directory, on whose files may be signatures.
type goneList struct {
	name  string
	data  []byte
	moved header.Relocations
}

// goneLists are those that the goroutine that signs files has not looked at yet.
type goneLists struct {
	mu  sync.Mutex
	all []goneList
}

func (g *goneLists) add(lists ...goneList) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, lists...)
}

func (g *goneLists) take() (all []goneList) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all, g.all = g.all, nil
	return all
}

// LostList has the signatures looked at that are on the files of a list that is out of
// the directory.
func (x *Exporter) LostList(s *ledger.Ledger, w state.Withdrawal, data []byte) {
	if !s.SignsFiles || !x.Config.IMASignatures || data == nil {
		return
	}
	g := goneList{name: w.Name, data: data}
	// The ledger may have forgotten it already.
	if w.Entry != nil {
		g.moved = w.Entry.Moved
	}
	if e := s.ByName[w.Name]; e != nil && g.moved == nil {
		g.moved = e.Moved
	}
	x.gone.add(g)
	s.Wake[state.WakeLists] = true
}

// settleFile makes one file's signature what lists allow. want is what the package
// that has the file is vouched for there; other lists may have the path, too.
func (f *fileSigner) settleFile(snap *view.Snapshot, id *identity.Identity, path string, want []identity.Vouched, sign bool) (left bool, err error) {
	file, err := f.Root.Find(path, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, kernel.ErrNotRegular) {
		return false, nil
	}
	if err == nil {
		defer file.Close()
		left, err = f.settleFound(snap, id, path, file, want, sign)
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil // a file system without attributes: IMA finds no signature there, nor needs one
	}
	if err != nil {
		return false, fmt.Errorf("cannot sign %s: %w", path, err)
	}
	return left, nil
}

func (f *fileSigner) settleFound(snap *view.Snapshot, id *identity.Identity, path string, file *kernel.File, want []identity.Vouched, sign bool) (left bool, err error) {
	value, err := file.IMA()
	if err != nil {
		return false, err
	}
	want, several, err := f.addOthers(snap, path, want)
	if err != nil {
		return false, err
	}
	good := slices.ContainsFunc(want, func(v identity.Vouched) bool { return id.Signed(value, v) })
	switch {
	case len(want) == 0 && identity.MadeHere(snap.Certificates, value):
		return false, file.RemoveIMA()
	case len(want) == 0 || !several && good:
		return false, nil
	case !sign && (good || !id.Made(value)):
		return true, nil // the signature that is there does no harm meanwhile
	}
	v := want[0]
	if several || v.Algo != digestlist.SHA256 || !sign {
		// What lies there decides between several digests; and if a list has another
		// digest than SHA-256, only the content tells that one.
		sums, err := contentDigests(file, want)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(want, func(v identity.Vouched) bool { return string(sums[v.Algo]) == v.Digest }) {
			if identity.MadeHere(snap.Certificates, value) {
				err = file.RemoveIMA()
			}
			return false, err
		}
		for algo, sum := range sums {
			if id.Signed(value, identity.Vouched{Algo: algo, Digest: string(sum)}) {
				return false, nil
			}
		}
		if !sign {
			return true, nil
		}
		v = identity.Vouched{Algo: digestlist.SHA256, Digest: string(sums[digestlist.SHA256])}
	}
	if value, err = id.IMASignature(v); err == nil {
		err = file.SetIMA(value)
	}
	return false, err
}

// addOthers adds to want what other active lists have under a path. several says that
// more than one list has it: each of their packages may have written the file.
func (f *fileSigner) addOthers(snap *view.Snapshot, path string, want []identity.Vouched) (all []identity.Vouched, several bool, err error) {
	if f.off {
		return want, false, nil
	}
	lists := 0
	for e := range snap.Lookup.WithPath(view.PathRef([]byte(path))) {
		if !e.Active() || e.Broken {
			continue
		}
		files, err := f.listed(e)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has gone since
		}
		if err != nil {
			return want, false, err
		}
		v := files[path]
		if v.Digest == "" {
			continue
		}
		lists++
		if !slices.Contains(want, v) {
			want = append(want, v)
		}
	}
	return want, lists > 1 || len(want) > 1, nil
}

// listed returns what a list vouches for, and keeps that of the latest few: the files
// of a package are asked for in a row.
func (f *fileSigner) listed(e *view.Entry) (map[string]identity.Vouched, error) {
	const most = 8
	if files, known := f.cache[e.File]; known {
		return files, nil
	}
	files, err := f.vouched(e)
	if err != nil {
		return nil, err
	}
	if len(f.cache) >= most {
		clear(f.cache)
	}
	f.cache[e.File] = files
	return files, nil
}
