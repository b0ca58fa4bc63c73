// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// ledgerStep takes over what the ledger's own benchmark says of one step, if there
// is one: BenchmarkStep in a package below daemon/ledger.
func (l *lab) ledgerStep() {
	const ledger = "github.com/digestd/digestd/daemon/ledger/..."
	if found, err := exec.Command("go", "list", ledger).Output(); err != nil || len(found) == 0 {
		l.Logf("there is no ledger, and no row of it (%v)", err)
		return
	}
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkStep$", "-benchmem", "-count", fmt.Sprint(runs), ledger)
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	// Two kinds of steps in one row would hide that of the longer ones.
	for _, step := range []struct{ name, row string }{
		{"decided", "A step of the ledger that decides about a package"},
		{"published", "A step that publishes its list, and to take all of that back"},
	} {
		var took, allocations pair
		took[today], allocations[today] = benchmarked(string(out), "Step/"+step.name)
		if len(took[today].values) == 0 {
			l.Fatalf("the ledger has no BenchmarkStep/%s:\n%s", step.name, out)
		}
		l.report.row(step.row, "ns", took, atMost(2000, "ns"))
		l.report.row("The same: allocations", "", allocations, atMost(2, ""))
	}
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op.*?\s(\d+) allocs/op`)

// benchmarked reads times and allocations an operation from what go test prints of the benchmark
// of that name.
func benchmarked(out, name string) (took, allocations sample) {
	for _, m := range benchmarkLine.FindAllStringSubmatch(out, -1) {
		ns, err := strconv.ParseFloat(m[2], 64)
		if err != nil || m[1] != name {
			continue
		}
		n, _ := strconv.ParseFloat(m[3], 64)
		took.add(ns)
		allocations.add(n)
	}
	return took, allocations
}

func TestBenchmarked(t *testing.T) {
	took, allocations := benchmarked("goos: linux\nBenchmarkStep/decided-2   \t 1000000\t      1234.5 ns/op\t     128 B/op\t       2 allocs/op\n"+
		"BenchmarkStep/published-2   \t 1000000\t      2000 ns/op\t     128 B/op\t       3 allocs/op\n"+
		"BenchmarkStep/decided   \t 1000000\t       999 ns/op\t     0.5 MB/s\t     128 B/op\t       1 allocs/op\nPASS\n", "Step/decided")
	if len(took.values) != 2 || took.values[0] != 1234.5 || took.values[1] != 999 || allocations.values[0] != 2 || allocations.values[1] != 1 {
		t.Errorf("%v %v", took, allocations)
	}
}

func TestVerdicts(t *testing.T) {
	b := atMost(60, "ms").aim(50, "ms")
	for v, want := range map[float64]string{61: "**no**", 60: "yes", 50: "goal", 10: "goal"} {
		if got := b.verdict(v); got != want {
			t.Errorf("%v with %q: %q, not %q", v, b.text, got, want)
		}
	}
	if b.text != "at most 60 ms; goal 50 ms" {
		t.Error(b.text)
	}
	if got := informs.verdict(1e9); got != "" {
		t.Errorf("a figure without a bound: %q", got)
	}
	s := sample{values: []float64{5, 1, 4, 2, 3}}
	if got, want := s.text("ms"), "**3 ms** (5, 1, 4, 2, 3)"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
