// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/sim"
)

var (
	simSeeds   = flag.Uint64("sim.seeds", 200, "how many random histories are tried")
	simOnDisk  = flag.Uint64("sim.disk", 10, "how many of them are tried on disk as well")
	simFirst   = flag.Uint64("sim.first", 1, "the seed of the first")
	simTime    = flag.Duration("sim.time", 0, "try as many as this time allows instead")
	simShrink  = flag.Bool("sim.shrink", true, "look for the shortest part of a history that fails")
	simGuarded = flag.Uint64("sim.guarded", 4, "one of so many machines has a guard; 0: none")
	simImaged  = flag.Uint64("sim.imaged", 30, "one of so many started from an image; 0: none")
	simWithout = flag.String("sim.without", "", "kinds of acts that are left out, with commas between them")
)

// signatures are the ways to sign lists that are tried.
var signatures = []string{"pkcs7", "pkcs7", ledger.SignNone}

// TestHistories tries random histories of machines that are all in memory, on all
// processors. A failure prints its seed, and the shortest part of its history that fails
// in the same way:
//
//	go test ./daemon -run 'TestHistories$' -sim.first SEED -sim.seeds 1
func TestHistories(t *testing.T) { tryHistories(t, *simSeeds, *simTime, false) }

// TestHistoriesOnDisk tries a few of them with an index and a list directory on disk, a
// database of rpm and sockets.
func TestHistoriesOnDisk(t *testing.T) { tryHistories(t, *simOnDisk, 0, true) }

// letGarbageBe makes collections rare, since little is in use and all else is garbage, until
// restore is called.
func letGarbageBe() (restore func()) {
	old := debug.SetGCPercent(2000)
	return func() { debug.SetGCPercent(old) }
}

func tryHistories(t *testing.T, seeds uint64, limit time.Duration, onDisk bool) {
	t.Helper()
	defer letGarbageBe()()
	var next, tried atomic.Uint64
	var failed atomic.Bool
	until := time.Now().Add(limit)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				n := next.Add(1) - 1
				if limit == 0 && n >= seeds || limit > 0 && time.Now().After(until) || failed.Load() {
					return
				}
				tried.Add(1)
				seed := *simFirst + n
				h := sim.Draw(seed)
				h.Acts = slices.DeleteFunc(h.Acts, func(a sim.Act) bool {
					return slices.Contains(strings.Split(*simWithout, ","), strings.TrimPrefix(string(a.Kind), sim.Amid))
				})
				if *simGuarded > 0 && seed%*simGuarded == 0 {
					h = sim.WithGuard(h, seed)
				}
				if *simImaged > 0 && seed%*simImaged == 0 {
					h = sim.WithImage(h, seed)
				}
				sign := signatures[seed%uint64(len(signatures))]
				err := runHistory(t, h, sign, onDisk)
				if err == nil || failed.Swap(true) {
					continue
				}
				if !*simShrink {
					t.Errorf("seed %d: %s %v\n%s", seed, judge(err), err, h)
					continue
				}
				short := sim.Shrink(h, func(h sim.History) bool { return sim.SameKind(err, runHistory(t, h, sign, onDisk)) })
				t.Errorf("seed %d: %s %v\nshortest history that fails, with %v:\n%s", seed, judge(err), err, runHistory(t, short, sign, onDisk), short)
			}
		})
	}
	group.Wait()
	if err := simInstants.unknown(); err != nil {
		t.Error(err)
	}
	t.Logf("%d histories", tried.Load())
}

// TestKnownHistories tries those that once went wrong.
func TestKnownHistories(t *testing.T) {
	defer letGarbageBe()()
	files, err := filepath.Glob("testdata/histories/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d histories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			tryKnown(t, file, *simOnDisk > 0)
		})
	}
}

// tryKnown tries the history in a file, with each signature, in memory and perhaps on disk.
func tryKnown(t *testing.T, file string, onDisk bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h, err := sim.ParseHistory(string(text))
	for _, sign := range signatures[1:] {
		if err == nil {
			err = runHistory(t, h, sign, false)
		}
		if err == nil && onDisk {
			err = runHistory(t, h, sign, true)
		}
	}
	if err != nil {
		t.Errorf("%s %v\n%s", judge(err), err, text)
	}
}

// judge says whether the model objects, or a history could not be carried out.
func judge(err error) string {
	if sim.SameKind(err, err) {
		return "the model objects:"
	}
	return "not carried out:"
}

func TestMain(m *testing.M) {
	code := m.Run()
	if simWorldMade.Load() {
		w, _ := theSimWorld()
		os.RemoveAll(w.place)
	}
	os.Exit(code)
}

func runHistory(t *testing.T, h sim.History, sign string, onDisk bool) error {
	t.Helper()
	m, err := newSimMachine(sign, onDisk, h)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer m.close()
	return sim.Run(h, m)
}
