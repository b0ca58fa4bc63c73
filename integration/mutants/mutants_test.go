// SPDX-License-Identifier: Apache-2.0

package mutants

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mutation is one mistake: old stands in file exactly once, and new takes its place.
type mutation struct {
	name, file, old, new, meaning string
}

var (
	all       = flag.Bool("mutants.all", false, "try all mutations")
	some      = flag.Int("mutants.some", 5, "how many mutations are tried otherwise")
	seed      = flag.Uint64("mutants.seed", 12, "which these are")
	only      = flag.String("mutants.only", "", "a regular expression: which mutations are tried, whatever else is said")
	mostTried = flag.Uint64("mutants.histories", 2000, "how many random histories a mutation may pass")
	without   = flag.String("mutants.without", "", "kinds of acts that are left out of random histories")
)

// anchored begins the names of mutations that histories of a machine with a TPM see.
const anchored = "epoch-"

// limit bounds how long the histories of one mutation may take.
const limit = 15 * time.Minute

func mutations() []mutation {
	return slices.Concat(deciding, acting, anchoring, advising, retaining, imaging)
}

// chosen are the mutations that are tried.
func chosen(t *testing.T) []mutation {
	list := mutations()
	switch {
	case *only != "":
		wanted, err := regexp.Compile(*only)
		if err != nil {
			t.Fatal(err)
		}
		list = slices.DeleteFunc(list, func(m mutation) bool { return !wanted.MatchString(m.name) })
		if len(list) == 0 {
			t.Fatalf("no mutation is called %s", *only)
		}
		return list
	case *all:
		return list
	}
	r := rand.New(rand.NewPCG(*seed, 0))
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(*some, len(list))]
}

// top is the root of the tree.
func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// mutated returns the file of m with the mistake in it.
func (m mutation) mutated(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top(t), m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), m.old); n != 1 {
		t.Errorf("%s: %s has the text to be replaced %d times, not once", m.name, m.file, n)
	}
	return []byte(strings.Replace(string(data), m.old, m.new, 1))
}

// Each mutation still fits the code, and there are enough of them.
func TestMutationsFit(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutations() {
		if m.name == "" || m.meaning == "" || m.old == m.new || seen[m.name] {
			t.Errorf("%q is no mutation, or there are two of that name", m.name)
		}
		seen[m.name] = true
		m.mutated(t)
	}
	if len(seen) < 30 {
		t.Errorf("only %d mutations", len(seen))
	}
}

// The model objects to every mutation.
func TestModelSeesMutations(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Fatal(err)
	}
	list := chosen(t)
	program := build(t, list)
	t.Run("none", func(t *testing.T) {
		if known := (mutation{}).histories(t, program, "^TestKnownHistories$", "-sim.disk=0"); objection(known) != survived {
			t.Errorf("without a mutation:\n%s", known)
		}
	})
	for _, m := range list {
		t.Run(m.name, func(t *testing.T) { m.try(t, program) })
	}
}

// try sees that a history fails with the mistake in the daemon.
func (m mutation) try(t *testing.T, program string) {
	began := time.Now()
	if strings.HasPrefix(m.name, anchored) {
		switch said := m.histories(t, program, "^TestHistoriesAnchored$"); objection(said) {
		case seen:
			t.Logf("seen by an anchored history, after %v: %s", time.Since(began).Round(100*time.Millisecond), objects.FindString(said))
		default:
			t.Errorf("%s (%s) is not seen:\n%s", m.name, m.meaning, said)
		}
		return
	}
	disk, onDisk := "-sim.disk=0", strings.HasPrefix(m.file, "store/") || strings.HasPrefix(m.name, "label-")
	if onDisk { // which takes most of the time
		disk = "-sim.disk=1000"
	}
	known := m.histories(t, program, "^TestKnownHistories$", disk)
	switch objection(known) {
	case seen:
		t.Logf("seen by the known history %s, after %v: %s", name(known), time.Since(began).Round(100*time.Millisecond), said(known))
		return
	case elsewhere:
		t.Fatalf("%s (%s) fails, but not by the model's word:\n%s", m.name, m.meaning, known)
	}
	random := m.histories(t, program, "^TestHistories$", "-sim.shrink=false",
		"-sim.seeds="+strconv.FormatUint(*mostTried, 10), "-sim.without="+*without)
	if objection(random) == survived && onDisk {
		random = m.histories(t, program, "^TestHistoriesOnDisk$", "-sim.shrink=false", disk)
	}
	switch objection(random) {
	case seen:
		t.Logf("seen after %s, %v: %s", count.FindString(random), time.Since(began).Round(100*time.Millisecond), said(random))
	case elsewhere:
		t.Fatalf("%s (%s) fails, but not by the model's word:\n%s", m.name, m.meaning, random)
	default:
		t.Errorf("%s survives %s: %s, and nobody notices", m.name, count.FindString(random), m.meaning)
	}
}

// build compiles the daemon's tests with these mistakes in them. The tree stays as it is:
// go reads some of its files from elsewhere.
func build(t *testing.T, list []mutation) (program string) {
	t.Helper()
	dir, root := t.TempDir(), top(t)
	program = filepath.Join(dir, "daemon.test")
	files := map[string]*combined{}
	for i, m := range list {
		c := files[m.file]
		if c == nil {
			src, err := os.ReadFile(filepath.Join(root, m.file))
			if err == nil {
				c, err = newCombined(src)
			}
			if err != nil {
				t.Fatal(err)
			}
			files[m.file] = c
		}
		if err := c.add(m.name, i+1, m.mutated(t)); err != nil {
			t.Fatal(err)
		}
	}
	replace, written := map[string]string{}, 0
	put := func(file string, data []byte) {
		written++
		changed := filepath.Join(dir, fmt.Sprintf("%d.go", written))
		if err := os.WriteFile(changed, data, 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, file)] = changed
	}
	for file, c := range files {
		put(file, c.bytes())
		put(chooserName(file), c.chooser())
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./daemon")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("mutations cannot be compiled: %v\n%s", err, out)
	}
	return program
}

// histories runs histories with m in the daemon and returns what the program said.
func (m mutation) histories(t *testing.T, program, tests string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	run := exec.CommandContext(ctx, program, append([]string{"-test.run=" + tests, "-test.failfast", "-test.v", "-test.timeout=0"}, args...)...)
	run.Dir, run.Env = filepath.Join(top(t), "daemon"), append(os.Environ(), variable+"="+m.name)
	out, err := run.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("histories cannot be tried: %v, %v\n%s", err, ctx.Err(), out)
	}
	return string(out)
}

var (
	objects = regexp.MustCompile(`the model objects: .*`)
	failing = regexp.MustCompile(`--- FAIL: TestKnownHistories/([a-z-]+)`)
	count   = regexp.MustCompile(`\d+ histories`)
	crashed = regexp.MustCompile(`(?m)^panic: |^fatal error: |DATA RACE|not carried out:|SIGSEGV|SIGQUIT`)
)

// name is the known history that fails.
func name(output string) string {
	if found := failing.FindStringSubmatch(output); found != nil {
		return found[1]
	}
	return ""
}

// said is the model's word.
func said(output string) string { return objects.FindString(output) }

// fate is what became of a mutation.
type fate int

const (
	survived fate = iota
	seen
	elsewhere // it failed, but not by the model's word
)

func objection(output string) fate {
	switch {
	case crashed.MatchString(output):
		return elsewhere
	case objects.MatchString(output):
		return seen
	case strings.HasSuffix(output, "PASS\n"):
		return survived
	}
	return elsewhere
}
