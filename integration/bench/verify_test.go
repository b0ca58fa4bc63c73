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
// by turns with what else hashes them. Everything is in the page cache.
func (l *lab) verification() {
	const rounds = 5
	d := l.daemon(l.root)
	d.Start()
	defer d.Stop()
	names := filepath.Join(l.TempDir(), "names")
	var list strings.Builder
	for _, path := range l.content.Paths {
		list.WriteString(filepath.Join(l.root.Dir, path) + "\x00")
	}
	if err := os.WriteFile(names, []byte(list.String()), 0o644); err != nil {
		l.Fatal(err)
	}
	hash := func(program string) float64 {
		return l.timed(exec.Command("sh", "-c", `xargs -0 `+program+` <"$0" >/dev/null`, names))
	}
	var ours, coreutils, openssl, rpms, peaks sample
	var v api.Verification
	for range rounds {
		cmd := l.root.Command("-Va", "--nodeps")
		// It finds fault with owners and times, and says so.
		started := time.Now()
		cmd.Run()
		rpms.add(time.Since(started).Seconds())
		settle()
		// That took so long that files, lists and directories have grown cold.
		hash("sha256sum")
		l.verifyAll(d)
		var peak int64
		var took float64
		took, v, peak = l.verifyAll(d)
		ours.add(took)
		peaks.add(float64(peak))
		coreutils.add(hash("sha256sum"))
		openssl.add(hash("openssl dgst -sha256"))
	}
	faster := coreutils.median() / ours.median()
	rate := float64(v.Bytes) / ours.median() / (1 << 30)
	l.report.row("`verify --all`, %d files, %s: compared with one `sha256sum` on the same warm files",
		fmt.Sprintf("%.2f×, %.2f GiB/s: %s instead of %s", faster, rate, ours.text("s"), coreutils.text("s")), "at least 1.6×", faster >= 1.6,
		v.Files, mebibytes(int64(v.Bytes)))
	l.report.row("The same by `openssl dgst -sha256`", openssl.text("s"), "", true)
	l.report.row("The same, compared with `rpm -Va --nodeps`", fmt.Sprintf("%.2f×", rpms.median()/ours.median()), "never slower: "+rpms.text("s"),
		rpms.median() >= ours.median())
	l.report.row("Peak memory of the process that verifies (VmHWM)", mebibytes(int64(peaks.max())), "", true)
}

// timed runs a command that must succeed.
func (l *lab) timed(cmd *exec.Cmd) float64 {
	l.Helper()
	started := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		l.Fatalf("%v: %v\n%.1000s", cmd.Args, err, out)
	}
	return time.Since(started).Seconds()
}

// verifyAll runs digestctl verify and returns how long it took, what it came to,
// and what memory the process took that verified.
func (l *lab) verifyAll(d *pkgtest.Daemon) (took float64, v api.Verification, peak int64) {
	l.Helper()
	done := make(chan struct{})
	peaked := make(chan int64)
	go func() { peaked <- peakOfChild(d.PID(), done) }()
	cmd := exec.Command(filepath.Join(l.programs.Dir, "digestctl"), "--bus", d.Bus.Address, "--json", "verify", "--all")
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
