// SPDX-License-Identifier: Apache-2.0

package preflight

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Condition is something that the guard needs of the machine.
type Condition struct {
	Name   string `json:"name"` // lsm, btf, helper, recursion, self-test, compared
	OK     bool   `json:"ok"`
	Text   string `json:"text"`             // what is so, for people
	Advice string `json:"advice,omitempty"` // what to do if the condition is not met
}

// maxSymbols bounds what is read of the kernel's symbols, in bytes.
const maxSymbols = 256 << 20

// Conditions looks for what the guard needs of the kernel. It reads what the kernel tells
// everybody, and compares no versions.
func (m Machine) Conditions() []Condition {
	return []Condition{m.lsm(), m.btf(), m.symbol("helper", "bpf_ima_file_hash", "has the BPF helper that hashes files", "does not have the BPF helper that hashes files: it was built without IMA"),
		m.symbol("recursion", "__bpf_prog_enter_sleepable_recur", "runs sleepable BPF programs reliably", "skips sleepable BPF programs while another one sleeps on the same processor")}
}

func (m Machine) at(path string) string { return filepath.Join("/", m.Top, path) }

// lsm looks whether BPF is among the security modules in force.
func (m Machine) lsm() Condition {
	c := Condition{Name: "lsm"}
	data, err := os.ReadFile(m.at("/sys/kernel/security/lsm"))
	names := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		c.Text, c.Advice = fmt.Sprintf("cannot read the active security modules: %v", err), "mount securityfs: mount -t securityfs securityfs /sys/kernel/security"
	case !slices.Contains(strings.Split(names, ","), "bpf"):
		c.Text, c.Advice = "bpf is not an active security module ("+names+")", "boot with lsm="+names+",bpf on the kernel's command line"
	default:
		c.OK, c.Text = true, "bpf is an active security module"
	}
	return c
}

// btf looks whether the kernel has BTF type information.
func (m Machine) btf() Condition {
	c := Condition{Name: "btf", OK: true, Text: "the kernel has BTF type information"}
	if info, err := os.Stat(m.at("/sys/kernel/btf/vmlinux")); err != nil || info.Size() == 0 {
		c.OK, c.Text, c.Advice = false, "the kernel does not have BTF type information", "use a kernel that was built with CONFIG_DEBUG_INFO_BTF"
	}
	return c
}

// symbol looks whether the kernel has a function.
func (m Machine) symbol(name, symbol, well, ill string) Condition {
	c := Condition{Name: name, OK: true, Text: "the kernel " + well}
	switch has, err := m.hasSymbol(symbol); {
	case errors.Is(err, fs.ErrNotExist):
		c.Text = "the kernel hides its symbols; digestd-guard checks at its start " + symbol + " itself"
	case err != nil:
		c.OK, c.Text = false, fmt.Sprintf("cannot read the kernel's symbols: %v", err)
	case !has:
		c.OK, c.Text, c.Advice = false, "the kernel "+ill+" ("+symbol+")", "use a newer kernel from your distribution"
	}
	return c
}

func (m Machine) hasSymbol(symbol string) (bool, error) {
	f, err := os.Open(m.at("/proc/kallsyms"))
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for read := 0; lines.Scan() && read < maxSymbols; read += len(lines.Bytes()) {
		// address, kind, name, and the module that has it
		if fields := strings.Fields(lines.Text()); len(fields) >= 3 && fields[2] == symbol {
			return true, nil
		}
	}
	return false, lines.Err()
}
