// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// deadline is how long a machine may run. Emulated, on two cores that it shares,
// it boots in half a minute; a busy host takes its time. make test-vm may take longer.
const deadline = 14 * time.Minute

// machine is a disk that outlives boots.
type machine struct {
	t     *testing.T
	dir   string
	disk  string
	boots int
	tpm   string // the control socket of its TPM, if it has one
	efi   efi    // its firmware, if it is more than what starts a kernel
}

// boot is one run of a machine.
type boot struct {
	script string            // in testdata; run as a service when the system is up
	files  map[string]string // content by path, written before systemd starts
	trees  []string          // directories whose content is laid over the root, too
	kernel string            // added to the kernel's command line
	stock  string            // boot Debian's kernel of that release; "" for the machine's own
	cutAt  string            // the power fails at the marker of that name
}

// newMachine has digestd installed on a fresh disk that holds only what differs
// from the prepared one.
func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "digestd-vm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir, disk: filepath.Join(dir, "disk.qcow2")}
	if err := command("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", filepath.Join(guest.dir, "base.img"), m.disk); err != nil {
		t.Fatal(err)
	}
	return m
}

// boot runs the machine until it turns itself off, or its power fails, and makes
// a subtest of every result that its script reports.
func (m *machine) boot(b boot) {
	m.t.Helper()
	m.boots++
	console := filepath.Join(m.dir, "console-"+strconv.Itoa(m.boots))
	report, err := m.run(b, console)
	if err == nil && b.cutAt == "" && !report.complete {
		err = errors.New("it went off before its script ended")
	}
	for _, fact := range report.facts {
		m.t.Logf("%s: %s", b.script, fact)
	}
	for _, r := range report.results {
		m.t.Run(r.name, func(t *testing.T) {
			if !r.ok {
				t.Errorf("in the machine:\n%s", strings.Join(r.detail, "\n"))
			}
		})
	}
	if err != nil {
		log, _ := os.ReadFile(console)
		m.t.Fatalf("boot %d, %s: %v; after %d results, %s\nits console:\n%s", m.boots, b.script, err, len(report.results), strings.Join(report.loose, "\n"), log[max(0, len(log)-8000):])
	}
}

func (m *machine) run(b boot, console string) (*report, error) {
	initrd, err := m.initrd(b)
	if err != nil {
		return &report{}, err
	}
	most := deadline
	if os.Getenv("DIGESTD_TEST_VM") == "whole" {
		most *= 3
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), most)
	defer cancel()
	// One processor: the emulator does not always see code that another one has
	// changed, and the kernel changes its own while it boots. AVX2, which hashing would use, is
	// slower than what else there is, emulated.
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,-avx2", "-smp", "1", "-m", "1024",
		"-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", filepath.Join(b.kernelDir(), "vmlinuz"), "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 systemd.unit=digestd-test.target systemd.show_status=no "+b.kernel,
		"-drive", "file="+m.disk+",if=virtio,format=qcow2"+b.cache(),
		"-serial", "file:"+console,
		"-chardev", "stdio,id=results,signal=off", "-serial", "chardev:results",
	)
	if m.efi.code != "" {
		cmd.Args = append(cmd.Args, "-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+m.efi.code, "-drive", "if=pflash,format=raw,unit=1,file="+m.efi.vars)
	}
	if m.tpm != "" {
		cmd.Args = append(cmd.Args, "-chardev", "socket,id=tpm,path="+m.tpm, "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm")
	}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return &report{}, err
	}
	if err := cmd.Start(); err != nil {
		return &report{}, err
	}
	started, up := time.Now(), time.Duration(0)
	// Its output is also in a file, for those who wait for it.
	results, err := os.Create(strings.Replace(console, "console", "results", 1))
	if err != nil {
		cmd.Process.Kill()
		return &report{}, err
	}
	defer results.Close()
	r, cut := readReport(io.TeeReader(out, results), b.cutAt, func() { up = time.Since(started) })
	if cut {
		cmd.Process.Kill() // with everything that the machine had not written yet
	}
	io.Copy(io.Discard, out)
	err = cmd.Wait()
	spent := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	m.t.Logf("boot %d, %s: %.0f s, %.0f to its first result; %.0f s of processor", m.boots, b.script, time.Since(started).Seconds(), up.Seconds(), spent.Seconds())
	switch {
	case ctx.Err() != nil:
		return r, errors.New("it did not finish in time")
	case b.cutAt != "" && !cut:
		return r, errors.New("it never came to " + b.cutAt)
	case err != nil && !cut:
		return r, errors.New(err.Error() + ": " + said.String())
	}
	return r, nil
}

// cache is how the emulator keeps the disk: where the power does not fail, what the machine
// flushes does not have to reach the host's disk.
func (b boot) cache() string {
	if b.cutAt != "" {
		return ""
	}
	return ",cache=unsafe"
}

// kernelDir has the kernel of a boot.
func (b boot) kernelDir() string {
	if b.stock == "" {
		return guest.dir
	}
	return filepath.Join(filepath.Dir(guest.dir), "kernels", b.stock)
}

// otherModules lays modules of another kernel over those that the initrd loads.
func (b boot) otherModules(stage string) error {
	if b.stock == "" {
		return nil
	}
	if err := command("guard/kernels.sh"); err != nil {
		return err
	}
	return command("sh", "-c", `mkdir -p "$2/modules" && cd "$1" && cp ./*.ko "$2/modules/" &&
		for m in virtio_pci virtio_blk ext4 ecdsa_generic; do [ ! -e "$m.order" ] || cat "$m.order"; done | awk '!seen[$0]++' >"$2/modules/order"`,
		"modules", b.kernelDir(), stage)
}

// initrd puts together what starts the machine, what is installed, on the first
// boot, and what this boot brings along. The kernel unpacks them in that order.
func (m *machine) initrd(b boot) (string, error) {
	stage := filepath.Join(m.dir, "stage-"+strconv.Itoa(m.boots))
	tree := filepath.Join(stage, "overlay")
	if err := command("mkdir", "-p", filepath.Join(tree, "test")); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"cp", "testdata/init", stage},
		{"cp", "-r", "testdata/guest/.", tree},
		{"cp", filepath.Join("testdata", b.script), filepath.Join(tree, "test", "script")},
	} {
		if err := command(args...); err != nil {
			return "", err
		}
	}
	for _, dir := range b.trees {
		if err := command("cp", "-r", dir+"/.", tree); err != nil {
			return "", err
		}
	}
	for name, content := range b.files {
		name = filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	if err := b.otherModules(stage); err != nil {
		return "", err
	}
	own, whole := stage+".cpio", stage+".initrd"
	if err := archive(stage, own); err != nil {
		return "", err
	}
	args := []string{"sh", "-c", `out=$1; shift; cat "$@" >"$out"`, "concatenate", whole, filepath.Join(guest.dir, "initrd")}
	if m.boots == 1 {
		args = append(args, guest.packages)
	}
	return whole, command(append(args, own)...)
}

// report is what a script in the machine said on its second serial line.
type report struct {
	results  []result
	facts    []string
	loose    []string // what belongs to no result
	complete bool
}

type result struct {
	name   string
	ok     bool
	detail []string
}

// readReport reads until the machine goes off, or comes to the marker named. It calls begun at
// the first line.
func readReport(in io.Reader, marker string, begun func()) (r *report, cut bool) {
	r = &report{}
	lines := bufio.NewScanner(in)
	for first := true; lines.Scan(); first = false {
		if first {
			begun()
		}
		line := strings.TrimRight(lines.Text(), "\r")
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "ok":
			r.results = append(r.results, result{name: rest, ok: true})
		case word == "failed":
			r.results = append(r.results, result{name: rest})
		case word == "|" && len(r.results) > 0:
			last := &r.results[len(r.results)-1]
			last.detail = append(last.detail, rest)
		case word == "fact":
			r.facts = append(r.facts, rest)
		case word == "marker":
			if rest == marker {
				return r, true
			}
		case word == "end":
			r.complete = rest == strconv.Itoa(len(r.results))
		default:
			r.loose = append(r.loose, line)
		}
	}
	return r, false
}
