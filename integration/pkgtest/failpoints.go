// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
)

// Mortal is a machine whose daemon was built with failpoints.
type Mortal interface {
	Start(env ...string) time.Duration
	Spawn(env ...string)
	Stop()
	Wait() error
	Running() bool
}

// Passes says which events something brings, and the effects that each has then; those
// of what is done for it beside the executor are always among them.
type Passes map[string][]failpoint.Effect

// AllEffects are those that the table of events has for an event.
func AllEffects(event string) []failpoint.Effect {
	e, _ := failpoint.Find(event)
	return e.Effects
}

// OwnEffects are AllEffects without those on files of other programs, of which there are none
// where a test has put none into the list directory.
func OwnEffects(event string) []failpoint.Effect {
	return slices.DeleteFunc(slices.Clone(AllEffects(event)), func(e failpoint.Effect) bool { return e == failpoint.Aside })
}

// instants are those that a daemon must pass.
func (p Passes) instants(tb testing.TB) (names []string) {
	tb.Helper()
	for name, effects := range p {
		e, known := failpoint.Find(name)
		if !known {
			tb.Fatalf("there is no event %q", name)
		}
		for _, effect := range effects {
			if !slices.Contains(e.Effects, effect) {
				tb.Fatalf("the event %s has no effect %s", name, effect)
			}
		}
		e.Effects = effects
		for _, i := range e.Instants() {
			names = append(names, failpoint.Name(name, i))
		}
	}
	return names
}

// Death is where a daemon was killed. The zero Death is where it was not.
type Death struct {
	Instant string // EVENT-INSTANT
	Nth     int    // how often it was passed then
}

// At reports whether the daemon died when it passed that instant for the first time.
func (d Death) At(event string, instant failpoint.Instant) bool {
	return d == Death{failpoint.Name(event, instant), 1}
}

// Crashes is how daemons are killed, each on a machine of its own: at each instant of
// what is done, and once not at all.
type Crashes[M Mortal] struct {
	Passes Passes             // what Do must bring
	Most   int                // how often one instant counts; 0: once
	Env    func(m M) []string // of the daemon that is killed; nil: as it is

	Prepare func(t *testing.T) M // the daemon that it leaves is stopped and started again
	Do      func(m M)            // with a daemon that dies meanwhile; nil: it dies as it starts
	Dead    func(m M, at Death)  // before the daemon is started again, if it was killed; nil: nothing
	After   func(m M, at Death)  // checks what has become of the machine, with a daemon that runs
}

// Try kills them. The test fails if Do does not bring its event.
func (c Crashes[M]) Try(t *testing.T) {
	t.Helper()
	want := c.Passes.instants(t)
	ready := func(t *testing.T) M {
		m := c.Prepare(t)
		if m.Running() {
			m.Stop()
		}
		return m
	}
	env := func(m M) []string {
		if c.Env == nil {
			return nil
		}
		return c.Env(m)
	}
	passed := map[string]int{}
	whole := t.Run("alive", func(t *testing.T) {
		log := filepath.Join(t.TempDir(), "passed")
		m := ready(t)
		m.Start(append(env(m), failpoint.LogVariable+"="+log)...)
		before := len(linesOf(t, log))
		if c.Do == nil {
			before = 0
		} else {
			c.Do(m)
		}
		for _, name := range linesOf(t, log)[before:] {
			passed[name]++
		}
		for _, name := range want {
			if passed[name] == 0 {
				t.Errorf("%s is not passed", name)
			}
		}
		m.Stop()
		m.Start()
		c.After(m, Death{})
	})
	if !whole {
		return
	}
	slices.Sort(want)
	for _, name := range want {
		for nth := 1; nth <= min(max(c.Most, 1), passed[name]); nth++ {
			t.Run(fmt.Sprintf("%s-%d", name, nth), func(t *testing.T) {
				t.Parallel()
				file := filepath.Join(t.TempDir(), "failpoint")
				arm := func() {
					spec := fmt.Sprintf("%s:%d", name, nth)
					if err := errors.Join(os.WriteFile(file+".new", []byte(spec), 0o600), os.Rename(file+".new", file)); err != nil {
						t.Fatal(err)
					}
				}
				m := ready(t)
				env := append(env(m), failpoint.FileVariable+"="+file)
				if c.Do == nil {
					arm()
					m.Spawn(env...)
				} else {
					m.Start(env...)
					arm()
					c.Do(m)
				}
				m.Wait()
				if c.Dead != nil {
					c.Dead(m, Death{name, nth})
				}
				m.Start()
				c.After(m, Death{name, nth})
			})
		}
	}
}

func linesOf(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}
