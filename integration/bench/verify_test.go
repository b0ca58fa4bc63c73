// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
)

// verification reads all files that are vouched for, and looks at all others,
// by turns with what else hashes them. Everything is in the page cache. rpm -Va,
// which takes many times longer, runs once.
func (l *lab) verification() {
	daemons := l.started(l.root)
	names := filepath.Join(l.TempDir(), "names")
	var list strings.Builder
	for _, path := range l.content.Paths {
		list.WriteString(filepath.Join(l.root.Dir, path) + "\x00")
	}
	if err := os.WriteFile(names, []byte(list.String()), 0o644); err != nil {
		l.Fatal(err)
	}
	hash := func(program string) float64 {
		return l.succeeds(exec.Command("sh", "-c", `xargs -0 `+program+` <"$0" >/dev/null`, names))
	}
	var ours, coreutils, openssl, rpm, peaks pair
	var v api.Verification
	cmd := l.root.Command("-Va", "--nodeps")
	// It finds fault with owners and times, and says so.
	rpm[today].add(timed(func() { cmd.Run() }).Seconds())
	settle()
	// That took so long that files, lists and directories have grown cold.
	hash("sha256sum")
	for _, s := range l.sides {
		l.verifyAll(daemons[s.at], s)
	}
	l.alternate(func(s side) {
		took, result, peak := l.verifyAll(daemons[s.at], s)
		v = result
		ours[s.at].add(took)
		peaks[s.at].add(inMiB(peak))
		if s.at == today {
			coreutils[today].add(hash("sha256sum"))
			openssl[today].add(hash("openssl dgst -sha256"))
		}
	})
	for _, s := range l.sides {
		daemons[s.at].Stop()
	}
	l.report.ratio(fmt.Sprintf("`verify --all`, %d files, %s", v.Files, mebibytes(int64(v.Bytes))), "s", ours, ours[today].median()/coreutils[today].median(),
		bound{text: "at most 0.62 × `sha256sum`", most: 0.625})
	l.report.row("One `sha256sum` on the same warm files", "s", coreutils, informs)
	l.report.row("`openssl dgst -sha256` on them", "s", openssl, informs)
	l.report.row("`rpm -Va --nodeps`, one run", "s", rpm, informs)
	l.report.row("Peak memory of the process that verifies (VmHWM)", "MiB", peaks, informs)
}

// succeeds runs a command that must succeed and returns how long it took.
func (l *lab) succeeds(cmd *exec.Cmd) float64 {
	l.Helper()
	started := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		l.Fatalf("%v: %v\n%.1000s", cmd.Args, err, out)
	}
	return time.Since(started).Seconds()
}

// verifyAll runs digestctl verify and returns how long it took, what it came to,
// and what memory the process took that verified.
func (l *lab) verifyAll(d *pkgtest.Daemon, s side) (took float64, v api.Verification, peak int64) {
	l.Helper()
	done := make(chan struct{})
	peaked := make(chan int64)
	go func() { peaked <- peakOfChild(d.PID(), done) }()
	cmd := exec.Command(filepath.Join(s.programs.Dir, "digestctl"), "--bus", d.Bus.Address, "--json", "verify", "--all")
	started := time.Now()
	out, err := cmd.Output()
	took = time.Since(started).Seconds()
	close(done)
	peak = <-peaked
	var document struct{ Verification api.Verification }
	if jerr := json.Unmarshal(out, &document); err != nil || jerr != nil {
		l.Fatalf("cannot verify: %v, %v\n%.1000s\n%s", err, jerr, out, d.Log())
	}
	if v = document.Verification; v.Errors > 0 || v.Files < len(l.content.Paths) {
		l.Fatalf("of %d files: %+v", len(l.content.Paths), v)
	}
	return took, v, peak
}

// peakOfChild watches the child of a process until done and returns the most
// memory it had.
func peakOfChild(pid int, done <-chan struct{}) (peak int64) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return peak
		case <-ticker.C:
		}
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, t := range tasks {
			data, _ := os.ReadFile(t)
			for child := range strings.FieldsSeq(string(data)) {
				if n, err := statusField("/proc/"+child+"/status", "VmHWM"); err == nil {
					peak = max(peak, n<<10)
				}
			}
		}
	}
}
