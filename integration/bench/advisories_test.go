// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

const tree = "github.com/digestd/digestd/"

// advisories takes over what the benchmarks of advisories say: of reading a repository of
// 60,000 packages, and of a decision where there are 100,000 floors.
func (l *lab) advisories() {
	var took, memory, decision pair
	out := l.benchmark(tree+"daemon/feed", "BenchmarkLarge")
	took[today], _ = benchmarked(out, "Large")
	for i, ns := range took[today].values {
		took[today].values[i] = ns / 1e9
	}
	memory[today] = peaks(out)
	decision[today], _ = benchmarked(l.benchmark(tree+"daemon/ledger/state", "BenchmarkAdmitAmongFloors"), "AdmitAmongFloors")
	l.report.row("Metadata of a repository, 60000 packages with an advisory each, read in a process without rights: 24 MB of updateinfo, 18 MB of primary", "s", took, atMost(1, "s"))
	l.report.row("The same: peak memory of that process (VmHWM)", "MiB", memory, atMost(64, "MiB"))
	l.report.row("A decision about a package where advisories set 100000 floors", "ns", decision, atMost(10_000, "ns"))
}

// benchmark runs a benchmark of the tree and returns what it printed.
func (l *lab) benchmark(pkg, name string) string {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchmem", "-count", fmt.Sprint(runs), pkg)
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

var peakLine = regexp.MustCompile(`(?m)^Benchmark.*?\s([0-9.]+) MiB-peak`)

// peaks reads the memory that a benchmark reports.
func peaks(out string) (s sample) {
	for _, m := range peakLine.FindAllStringSubmatch(out, -1) {
		if v, err := strconv.ParseFloat(m[1], 64); err == nil {
			s.add(v)
		}
	}
	return s
}

func TestPeaks(t *testing.T) {
	if s := peaks("BenchmarkLarge-2 \t 1\t 700000000 ns/op\t 47.0 MiB-peak\t 12 B/op\t 3 allocs/op\n"); len(s.values) != 1 || s.values[0] != 47 {
		t.Errorf("%v", s)
	}
}
