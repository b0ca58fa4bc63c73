// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

func (b *box) write(p, body string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(p)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.path(p), []byte(body), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Only files that a digest can be looked up for are labelled, and only those
// that rpm writes.
func TestWhatIsLabelled(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.write("/opt/kinds/ghost", "made by a program")
		b.write("/opt/kinds/conf", "changed by hand")
		b.write("/opt/net/file", "from elsewhere")
		r := b.rpm("-U", "--excludedocs", "--define", "_netsharedpath /opt/net", "kinds-1")
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
		for p, want := range map[string]string{
			"/opt/kinds":             "",
			"/opt/kinds/regular":     listName(0),
			"/opt/kinds/empty":       listName(0),
			"/opt/kinds/link":        "",
			"/opt/kinds/ghost":       "",
			"/opt/kinds/conf":        "",
			"/opt/kinds/conf.rpmnew": listName(0),
			"/opt/net/file":          "",
		} {
			if got := b.label(p); got != want {
				t.Errorf("%s: label %q, want %q", p, got, want)
			}
		}
		if b.exists("/opt/kinds/doc") {
			t.Error("an excluded file is there")
		}
	})
}

// rpm hands no file index for directories that it makes on the way.
func TestUnownedParents(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "deep-1")
		if got := b.label("/opt/never/owned/by/any/file"); got != listName(0) {
			t.Errorf("label %q", got)
		}
		if got := b.label("/opt/never"); got != "" {
			t.Errorf("directory has label %q", got)
		}
	})
}

func TestHardLinks(t *testing.T) {
	watched(t, func(t *testing.T, b *box) {
		b.ok("-U", "linked-1")
		var ino [2]uint64
		for i, p := range []string{"/opt/linked", "/opt/linked.too"} {
			var st unix.Stat_t
			if err := unix.Lstat(b.path(p), &st); err != nil {
				t.Fatal(err)
			}
			ino[i] = st.Ino
			if got := b.label(p); got != listName(0) {
				t.Errorf("%s: label %q", p, got)
			}
		}
		if ino[0] != ino[1] {
			t.Error("the files are not linked")
		}
	})
}

// Versions that stay side by side share a file; it goes with the one that wrote
// it last, and stays so when the other goes.
func TestMultiVersion(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-i", "multi-1")
		b.reply = func(m wire.Message) wire.Message {
			if h, ok := m.(*wire.Header); ok {
				return &wire.List{Element: h.Element, Name: "tlv-multi-2"}
			}
			return nil
		}
		b.messages()
		b.ok("-i", "multi-2")
		b.wantTrace("begin [+multi-2@0]", "header multi-2@0", "installed multi-2@n", "end 0")
		b.ok("-e", "multi-1")
		b.wantTrace("begin [-multi-1@n]", "removed multi-1", "end 0")
		for _, p := range []string{"/opt/multi/two", "/opt/multi/both"} {
			if got := b.label(p); got != "tlv-multi-2" {
				t.Errorf("%s: label %q", p, got)
			}
		}
	})
}

// A package takes over another's name and file in one transaction.
func TestObsoleted(t *testing.T) {
	watched(t, func(t *testing.T, b *box) {
		b.ok("-U", "plain-1")
		b.setLabel("/opt/plain", "tlv-plain")
		b.messages()
		b.ok("-U", "heir-1")
		b.wantTrace("begin [+heir-1@0 -plain-1@n]", "header heir-1@0", "installed heir-1@n", "removed plain-1", "end 0")
		if got := b.label("/opt/plain"); got != listName(0) {
			t.Errorf("label %q", got)
		}
	})
}

// Files that are not written anew lose a label that no longer holds.
func TestLabelGoesWithoutList(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "plain-1")
		b.reply = func(m wire.Message) wire.Message {
			if h, ok := m.(*wire.Header); ok {
				return &wire.List{Element: h.Element, Decision: wire.NoList}
			}
			return nil
		}
		b.ok("--restore", "plain")
		if got := b.label("/opt/plain"); got != "" {
			t.Errorf("label %q", got)
		}
	})
}

// preload makes rpm's calls that set attributes leave a trace, and fail.
func (b *box) preload(fault syscall.Errno) (calls func() []string) {
	log := filepath.Join(b.dir, "setxattr.log")
	b.env = []string{"LD_PRELOAD=" + b.m.library("faults"), "FAULTS_LOG=" + log, "FAULTS_ERRNO=" + strconv.Itoa(int(fault))}
	return func() []string {
		data, err := os.ReadFile(b.m.Outside(log))
		if err != nil {
			b.t.Fatal(err)
		}
		os.Remove(b.m.Outside(log))
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
}

// Each set makes the kernel forget what it knows of the file.
func TestLabelThatStandsIsNotSetAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		calls := b.preload(0)
		b.ok("-U", "plain-1")
		if got := calls(); len(got) != 1 || got[0] != pkgtest.LabelName+" "+listName(0) {
			t.Fatalf("calls %q", got)
		}
		// As other tools write it.
		b.setLabel("/opt/plain", listName(0)+"\x00")
		b.ok("--restore", "plain")
		if got := calls(); len(got) != 1 || got[0] != "" {
			t.Errorf("calls %q, want none", got)
		}
	})
}

// Containers and foreign file systems take no labels; packages install there.
func TestLabelsThatCannotBeSet(t *testing.T) {
	for _, fault := range []syscall.Errno{syscall.EPERM, syscall.EOPNOTSUPP, syscall.EROFS, syscall.EIO} {
		t.Run(fault.Error(), func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *box) {
				calls := b.preload(fault)
				r := b.rpm("-U", "other-1", "plain-1")
				if fault == syscall.EOPNOTSUPP {
					// Nothing can be done about that, each time anew.
					if r.code != 0 || len(r.lines) != 0 {
						t.Errorf("code %d, said %q; want success and silence", r.code, r.lines)
					}
				} else if r.code != 0 || len(r.lines) != 1 || !strings.Contains(r.lines[0], "digestd: cannot label /opt/plain, and maybe others: ") {
					t.Errorf("code %d, said %q; want success and one warning", r.code, r.lines)
				}
				if got := calls(); len(got) != 2 {
					t.Errorf("calls %q, want one a file", got)
				}
				b.wantTrace("begin [+other-1@0 +plain-1@0]", "header plain-1@0", "installed plain-1@n",
					"header other-1@0", "installed other-1@n", "end 0")
			})
		})
	}
}

// A signature goes to the file that it is for, whatever the order in which rpm
// unpacks; one for what rpm does not write goes nowhere.
func TestSignatures(t *testing.T) {
	watched(t, func(t *testing.T, b *box) {
		large := bytes.Repeat([]byte{7}, wire.MaxFileSig)
		b.reply = func(m wire.Message) wire.Message {
			h, ok := m.(*wire.Header)
			if !ok {
				return nil
			}
			list := usual(h).(*wire.List)
			parsed, err := header.ParseImmutable(bytes.Clone(h.Region))
			if err != nil {
				b.t.Error(err)
				return nil
			}
			err = parsed.Files(func(f header.File) error {
				if f.Index%2 == 0 { // more than one frame of other replies holds
					list.Signatures = append(list.Signatures, wire.FileSignature{File: uint32(f.Index), Value: append([]byte(f.Path()), large[len(f.Path()):]...)})
				}
				return nil
			})
			if err != nil {
				b.t.Error(err)
			}
			return list
		}
		b.ok("-U", "few-1")
		for i := range fewFiles {
			p := fmt.Sprintf("/opt/few/%04d", i)
			value := make([]byte, 2*wire.MaxFileSig)
			n, err := unix.Lgetxattr(b.path(p), "security.ima", value)
			switch {
			case i%2 == 1:
				if !errors.Is(err, unix.ENODATA) {
					t.Errorf("%s is signed, %d bytes, %v", p, n, err)
				}
			case err != nil || n != wire.MaxFileSig || !strings.HasPrefix(string(value), p):
				t.Errorf("%s: %d bytes %q, %v", p, n, value[:20], err)
			}
			if got := b.label(p); got != listName(0) {
				t.Errorf("%s: label %q", p, got)
			}
		}
	})
}
