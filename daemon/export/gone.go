// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"sync"

	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
)

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

// LostList queues a check of the signatures on the files of a list that left the directory.
// data is the content of the list, nil if it is unknown. The caller is the turn in which the
// list goes: LostList waits for nothing.
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
