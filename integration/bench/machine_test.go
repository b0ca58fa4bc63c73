// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// page is what is written about a run: the machine and the rows of the table.
const page = `# Performance

The cost of digestd, measured on the programs as they are shipped, with real rpm, the plugin and a bus. Written by

    sudo make bench

which runs integration/bench/run.sh; that needs a quarter of an hour on a machine that does nothing else. ` + "`make bench ROWS=why,restart`" + `
measures these alone and prints them. Today's tree is measured beside commit ` + reference + `, which the benchmark builds from git:
both sides run by turns, in an order that changes. A value is the median of five runs, with every run in brackets.
A bound holds if today's median does; "goal" says that the goal is reached, too.

Measured on: %s.

| what | today | ` + reference + ` | bound | holds |
|---|---|---|---|---|
%s

How: the database is made by integration/bench/gendb, with rpm's own tools for tables and indexes; every header is
signed by an RSA key of 4096 bits, and packages share licences and empty files as those of distributions do. The first
sync starts from an empty state directory and ends when the daemon tells the service manager that it is ready, which it
does after the last list and the index are on disk. ` + "`rpm -qa --dump`" + ` reads the same database and verifies no
signature; the number before its bound is the ratio. All lies on a fresh ext4 in a loop device. File systems are synced before each run, and the database is in the page cache, for both.

Packages are installed into the root that rpm runs in (chroot): with --root, rpm ends a transaction by a syncfs of a file system
that it wrote nothing to. Each run has a file system of its own, made for it, with lists and index on it, too; the percentage is the
median of the rounds, each of which is one run with the plugin of each side and one without. Packages of distribution size have as many files as those
of the database, and of these sizes; small ones are the hardest case, as most is spent once a package. ` + "`verify`" + ` and what it is compared with run on files that both have read just before;
` + "`rpm -Va`" + ` comes before that. While it is asked for something, the daemon lets garbage gather up to 24 MiB, and gives that back
15 s after the last question; idle means after that. It unmaps its code then, too, which stays in the page cache
and comes back where it is needed. The clients ask over connections of users who are not root, 10 connections for each
user; digestd of today reads no files for them. The daemons run with ` + "`audit-trail = \"none\"`" + `; where the audit trail is on, it goes to a
socket whose reader throws it away.

The header's round trip has one verification of an RSA signature of 4096 bits, by math/big. Commit 4826576 had modular arithmetic
of its own for that, which took some 30 µs less; digestd of today has none to audit. crypto/rsa and filippo.io/bigmod with a cached
modulus take about twice as long as math/big. To verify while another processor composes the list makes the median longer, too:
to wake that processor up takes longer than what it would do.

digest-cache-tools are not measured here: Debian has no package of them.

The metadata of a repository is read by Go's benchmark of daemon/feed, with the start of the process and what the daemon does with
its answer; a decision is one by daemon/ledger/state that refuses, with its text.

[guard.md](guard.md#figures) has the cost of the guard, in instructions of the measured kernel. One of its bounds
cannot be met, for open and close: an empty program at the same hook exceeds it.
`

// machine says what the figures were measured on.
func machine() string {
	said := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).Output()
		if err != nil {
			return name + " unknown"
		}
		return strings.TrimSpace(string(out))
	}
	model := "unknown processor"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(data) {
			if name, ok := bytes.CutPrefix(line, []byte("model name")); ok {
				model = strings.TrimSpace(strings.TrimLeft(string(name), "\t: "))
				break
			}
		}
	}
	load := "unknown"
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(data))[:3], " ")
	}
	return fmt.Sprintf("%s, %d cores, %s; Linux %s; %s; %s; %s; load averages at the end %s", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), model,
		said("uname", "-r"), runtime.Version(), said("rpm", "--version"), said("stat", "-f", "-c", "%T", os.TempDir()), load)
}
