// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

const (
	tool  = "tool-1-1.noarch"
	plain = "tool-plain-1-1.noarch"
)

func TestVerifyAndFix(t *testing.T) {
	m := newMachine(t)
	m.RPM("-i", "--excludedocs", "tool-1-1.noarch.rpm", "tool-plain-1-1.noarch.rpm")
	m.OK(os.RemoveAll(m.Path("/var/log/tool.log")))
	m.OK(os.Remove(m.Path("/usr/lib/tool/optional")))

	// A ghost, documentation that was not wanted, and what may be missing.
	r := m.ctl(0, "verify", "--all")
	m.want(r)
	if v := r.Verification; v.Packages != 2 || v.Files != 8 || v.Absent != 2 || !v.All || v.State != api.VerifyFinished || v.Unbound != 0 {
		t.Errorf("verified %+v", v)
	}

	m.write("/usr/bin/plain", "spoiled", 0o755)
	m.write("/usr/bin/dropped", "#!/bin/sh\n", 0o755)
	m.write("/usr/share/doc/tool/README", "other text", 0o644)
	m.write("/etc/tool-one.conf", "configured", 0o644)
	m.write("/var/log/tool.log", "#!/bin/sh\n", 0o755)
	m.OK(os.Remove(m.Path("/etc/tool-two.conf")))
	m.OK(os.Remove(m.Path("/usr/lib/tool/data")))
	m.OK(unix.Setxattr(m.Path("/usr/bin/tool"), pkgtest.LabelName, []byte("tlv-tool-plain-0:1-1.noarch"), 0))
	m.RPM("-i", "tool-unsigned-1-1.noarch.rpm")
	rest := []string{
		"changed /usr/bin/plain " + plain,
		"unvouched /usr/bin/dropped ",
		"notice: changed /usr/share/doc/tool/README " + tool,
		"notice: changed /etc/tool-one.conf " + tool,
		"unvouched /var/log/tool.log " + tool,
		"notice: missing /etc/tool-two.conf " + tool,
		"missing /usr/lib/tool/data " + tool,
		"withheld  tool-unsigned-1-1.noarch",
	}
	// The label is that of the inode, so both of its names have it.
	r = m.ctl(3, "verify", "--all")
	m.want(r, append(rest, "label /usr/bin/tool "+tool, "label /usr/bin/twin "+tool)...)
	m.want(m.ctl(3, "verify", "--findings"), append(rest, "label /usr/bin/tool "+tool, "label /usr/bin/twin "+tool)...)

	st := m.Status()
	if st.Verified.Errors != 7 || st.Verified.Notices != 3 || st.Verified.Counts != r.Verification.Counts {
		t.Errorf("the status has %+v", st.Verified)
	}
	if len(st.Problems) == 0 || st.Problems[len(st.Problems)-1].ID != "verification" {
		t.Errorf("problems: %+v", st.Problems)
	}

	// The log, of which the journal is made, has each error and the whole.
	if log := m.ctl(0, "log", "--kind", "found").Events; len(log) != 7 || log[0].Reason == "" || log[0].Text == "" {
		t.Errorf("the log has %+v", log)
	}
	if log := m.ctl(0, "log", "--kind", "verified").Events; len(log) != 2 || log[0].Reason != "findings" || log[1].Reason != "clean" {
		t.Errorf("the log has %+v", log)
	}

	// Only some of it.
	m.want(m.ctl(3, "verify", "--package", "tool-plain"), rest[0])
	m.want(m.ctl(3, "verify", m.Path("/usr/lib"), m.Path("/var")), rest[4], rest[6])
	m.want(m.ctl(0, "verify", m.Path("/etc")), rest[3], rest[5])
	m.ctl(4, "verify", m.Path("/no/such"))
	m.ctl(3, "verify", "--package", "nothing-like-it")

	// Lists come back, labels become right; content is left alone.
	list := filepath.Join(m.Lists(), "tlv-tool-plain-0:1-1.noarch")
	m.OK(os.Remove(list))
	r = m.ctl(3, "fix", "--all")
	if r.Verification.Fixed != 1 && r.Verification.Fixed != 2 { // of two names that are one file
		t.Errorf("fixed %d", r.Verification.Fixed)
	}
	if _, err := os.Stat(list); err != nil {
		t.Error(err)
	}
	if log := m.ctl(0, "log", "--kind", "fixed").Events; len(log) != r.Verification.Fixed {
		t.Errorf("the log has %+v", log)
	}
	if got := m.Label("/usr/bin/tool"); got != "tlv-tool-0:1-1.noarch" {
		t.Errorf("label is %q", got)
	}
	if data, err := os.ReadFile(m.Path("/usr/bin/plain")); err != nil || string(data) != "spoiled" {
		t.Errorf("the content is %q, %v", data, err)
	}
	m.want(m.ctl(3, "verify", "--all"), rest...)

	// As it says: reinstalled and removed, all is well.
	m.OK(os.Remove(m.Path("/usr/bin/dropped")))
	m.OK(os.Remove(m.Path("/var/log/tool.log")))
	m.RPM("-e", "tool-unsigned")
	m.RPM("-U", "--force", "tool-1-1.noarch.rpm", "tool-plain-1-1.noarch.rpm")
	m.want(m.ctl(0, "verify", "--all"), rest[3])
	if st := m.Status(); st.Verified.Errors != 0 || len(st.Problems) != 0 {
		t.Errorf("the status has %+v, %+v", st.Verified, st.Problems)
	}

	// Files that were there before digestd have no label.
	m.OK(unix.Removexattr(m.Path("/usr/bin/plain"), pkgtest.LabelName))
	m.want(m.ctl(0, "fix", "--package", "tool-plain"))
	m.want(m.ctl(0, "fix", "--package", "tool-plain", "--unlabelled"), "fixed: label /usr/bin/plain "+plain)
	if got := m.Label("/usr/bin/plain"); got != "tlv-tool-plain-0:1-1.noarch" {
		t.Errorf("label is %q", got)
	}
}

// Lists in rpm's own format say the same.
func TestFormatRPM(t *testing.T) {
	m := newMachine(t, `format = "rpm"`)
	m.RPM("-i", "tool-1-1.noarch.rpm", "tool-plain-1-1.noarch.rpm")
	m.want(m.ctl(0, "verify", "--all"))
	m.write("/usr/bin/plain", "spoiled", 0o755)
	m.write("/etc/tool-one.conf", "configured", 0o644)
	m.want(m.ctl(3, "verify", "--all"), "changed /usr/bin/plain "+plain, "notice: changed /etc/tool-one.conf "+tool)
}

// Files of the owner's lists are compared, too.
func TestOwnList(t *testing.T) {
	m := newMachine(t)
	m.write("/opt/site/run", "#!/bin/sh\n", 0o755)
	m.want(m.ctl(3, "verify", "--all"), "unvouched /opt/site/run ")
	m.Must("own", "add", "site", m.Path("/opt/site"))
	m.want(m.ctl(0, "verify", "--all"))
	m.write("/opt/site/run", "spoiled", 0o755)
	m.want(m.ctl(3, "verify", "--package", "own:site"), "changed /opt/site/run own:site-1-1.noarch")
}

// A verification that was interrupted in any way continues where it was, and reports
// everything.
func TestResume(t *testing.T) {
	m := newMachine(t)
	m.RPM("-i", "tool-1-1.noarch.rpm", "tool-plain-1-1.noarch.rpm")
	m.write("/usr/bin/plain", "spoiled", 0o755)
	m.write("/opt/dropped", "of nobody", 0o755)
	// So large that a verification is still at it when it is ended, and no more
	// than holes.
	huge := m.Path("/zz/huge")
	m.write("/zz/huge", "", 0o755)
	m.OK(os.Truncate(huge, 15<<30))

	ended := func(end func(ctl *exec.Cmd), options ...string) {
		t.Helper()
		os.Remove(filepath.Join(m.State(), "verify.json"))
		cmd := m.Digestctl(append([]string{"verify", "--all"}, options...)...)
		m.OK(cmd.Start())
		m.Until("the verification is at the huge file", func() bool {
			data, err := os.ReadFile(filepath.Join(m.State(), "verify.json"))
			return err == nil && strings.Contains(string(data), `"state":"running"`) && strings.Contains(string(data), `"tree":true`)
		})
		worker := m.worker()
		end(cmd)
		if cmd.Wait() == nil {
			t.Error("digestctl ended well")
		}
		m.Until("the process that verified has gone", func() bool { return unix.Kill(worker, 0) == unix.ESRCH })
	}
	want := []string{"changed /usr/bin/plain " + plain, "unvouched /opt/dropped ", "unvouched /zz/huge "}

	ended(func(ctl *exec.Cmd) { m.Kill() })
	m.OK(os.Truncate(huge, 100))
	// Verified files are not verified again, so this is not found.
	m.write("/usr/bin/tool", "spoiled later", 0o755)
	m.Start()
	r := m.ctl(3, "verify", "--all", "--resume")
	m.want(r, want...)
	if v := r.Verification; v.Errors != 3 || v.Packages != 2 || v.Files != 10 {
		t.Errorf("verified %+v", v)
	}
	// There is nothing to resume: all is looked at.
	m.want(m.ctl(3, "verify", "--all", "--resume"), append(want, "changed /usr/bin/tool "+tool, "changed /usr/bin/twin "+tool)...)

	m.OK(os.Truncate(huge, 15<<30))
	ended(func(ctl *exec.Cmd) {
		m.givesWay(m.worker())
		ctl.Process.Signal(os.Interrupt)
	}, "--idle")
	m.Until("the verification has ended", func() bool {
		return m.verification().State != api.VerifyRunning
	})
	m.OK(os.Truncate(huge, 100))
	if v := m.ctl(3, "verify", "--findings").Verification; v.State != api.VerifyInterrupted {
		t.Errorf("the state is %s", v.State)
	}
	// Another scope is another verification.
	m.want(m.ctl(3, "verify", m.Path("/opt"), "--resume"), want[1])
	m.want(m.ctl(3, "verify", "--all", "--idle"), append(want, "changed /usr/bin/tool "+tool, "changed /usr/bin/twin "+tool)...)
}

// verification is the one on record.
func (m *machine) verification() (v api.Verification) {
	m.Helper()
	var r report
	m.JSON(&r, "verify", "--findings")
	return r.Verification
}

// givesWay checks that all threads of a process let others go first.
func (m *machine) givesWay(pid int) {
	m.Helper()
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	m.OK(err)
	if len(threads) == 0 {
		m.Error("the process has no threads")
	}
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		// proc_pid_stat(5): nice is the 19th field, policy the 41st; 5 is SCHED_IDLE.
		if fields := strings.Fields(rest); len(fields) < 39 || fields[16] != "19" || fields[38] != "5" {
			m.Errorf("%s: %s", name, stat)
		}
	}
}

// worker finds the process in which the daemon verifies.
func (m *machine) worker() int {
	m.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	m.OK(err)
	for _, name := range names {
		data, _ := os.ReadFile(name)
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "stat"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if strings.HasSuffix(string(data), "\x00verify-worker\x00") && len(fields) > 1 && fields[1] == strconv.Itoa(m.PID()) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			m.OK(err)
			return pid
		}
	}
	m.Fatal("there is no process that verifies")
	return 0
}

func TestHostileTree(t *testing.T) {
	m := newMachine(t)
	key, err := pkgtest.NewKey("Odd", 2048)
	m.OK(err)
	m.Trust(key)
	m.Made = t.TempDir()
	m.RPM("-i", m.Build(pkgtest.Package{Name: "odd", Version: "1", Key: key,
		Files: map[string]string{"/usr/lib/new\nline": "a", "/usr/lib/latin-\xe9": "b", "/usr/lib/plain": "c"}}))
	m.want(m.ctl(0, "verify", "--all"))

	m.write("/usr/lib/new\nline", "changed", 0o755)
	m.write("/usr/lib/latin-\xe9", "changed", 0o755)
	m.OK(unix.Mkfifo(m.Path("/usr/lib/fifo"), 0o755))
	m.OK(os.Remove(m.Path("/usr/lib/plain")))
	m.OK(os.Symlink("plain", m.Path("/usr/lib/plain")))
	m.write("/usr/lib/holes.so", "", 0o644)
	m.OK(os.Truncate(m.Path("/usr/lib/holes.so"), 1<<42))
	const pkg = "odd-1-1.noarch"
	r := m.ctl(3, "verify", "--all")
	m.want(r, "changed /usr/lib/new\nline "+pkg, "changed /usr/lib/latin-\uFFFD "+pkg, "changed /usr/lib/plain "+pkg, "unreadable /usr/lib/holes.so ")
	m.want(m.ctl(3, "verify", m.Path("/usr/lib/fifo")), "unreadable /usr/lib/fifo ")
	m.want(m.ctl(3, "verify", m.Path("/usr/lib/plain")), "changed /usr/lib/plain "+pkg, "unreadable /usr/lib/plain ")
	m.want(m.ctl(3, "verify", m.Path("/usr/lib/latin-\xe9")), "changed /usr/lib/latin-\uFFFD "+pkg)
}
