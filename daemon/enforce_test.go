// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
)

// enforcer notes what it is told, and what of the list was in the directory then.
type enforcer struct {
	list string // its path
	told []string
	err  error
}

func (e *enforcer) note(what string, list []byte) error {
	there, err := os.ReadFile(e.list)
	switch {
	case err != nil:
		what += ", none there"
	case string(there) == string(list):
		what += ", it is there"
	default:
		what += ", another is there"
	}
	e.told = append(e.told, what)
	return e.err
}

func (e *enforcer) Admit(list executor.List, old []byte) error {
	if old != nil {
		return e.note("admit in the place of another", list.Content)
	}
	return e.note("admit", list.Content)
}

func (e *enforcer) Doubt() { e.told = append(e.told, "doubt") }

func (e *enforcer) Committed() error { return e.err }

func (e *enforcer) Expel(lists []executor.List) error {
	return e.note(fmt.Sprintf("expel %d", len(lists)), lists[0].Content)
}

// TestEnforcerIsTold: what the kernel holds follows the directory, before the answer, and
// also where a list resists.
func TestEnforcerIsTold(t *testing.T) {
	d := bare(t)
	name := "tlv-hello-0:1-1.noarch"
	e := &enforcer{list: filepath.Join(d.Config.Lists, name)}
	d.Exec.Hooks.Enforcer = e
	heard := func(when string, want ...string) {
		t.Helper()
		if !slices.Equal(e.told, want) {
			t.Errorf("%s: told %q, want %q", when, e.told, want)
		}
		e.told = nil
	}
	add := func(build string) {
		t.Helper()
		txn := newTransaction()
		err := d.on(t, func(s *ledger.Ledger) error {
			s.Opened(txn)
			_, err := s.Add(txn, 0, d.staged(t, "hello", build, "a", build))
			return err
		})
		if err == nil {
			err = d.on(t, func(s *ledger.Ledger) error {
				s.Installed(txn, 0)
				return nil
			})
		}
		if _, _, eerr := d.Exec.End(t.Context(), txn); errors.Join(err, eerr) != nil {
			t.Fatal(err, eerr)
		}
	}
	add("b")
	heard("published", "admit, it is there")
	add("c")
	heard("replaced", "admit in the place of another, it is there")
	e.err = errors.New("no answer")
	if err := d.FloorSet(t.Context(), api.Actor{}, "hello.noarch", "2-1", "why"); err != nil {
		t.Error(err)
	}
	heard("withdrawn", "expel 1, none there")
	if !slices.ContainsFunc(d.Snapshot().Problems, func(p api.Problem) bool {
		return p.ID == "guard" && strings.Contains(p.Text, "no answer")
	}) {
		t.Errorf("problems are %+v", d.Snapshot().Problems)
	}
}
