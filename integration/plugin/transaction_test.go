// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/google/go-cmp/cmp"
)

func (b *box) wantTrace(want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.trace()); diff != "" {
		b.t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// No header is available when a transaction begins: the names must do.
func TestBeginSaysWhatAndWhere(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "plain-1", "other-1")
		b.messages()
		b.ok("-U", "plain-2")
		begin := b.messages()[0].(*wire.Begin)

		id := func(path string) (dev, ino uint64) {
			fi, err := os.Stat(b.path(path))
			if err != nil {
				t.Fatal(err)
			}
			st := fi.Sys().(*syscall.Stat_t)
			return st.Dev, st.Ino
		}
		dev, ino := id("/")
		dbDev, dbIno := id("/var/lib/rpm")
		want := &wire.Begin{
			Plugin: "rpm-plugin-digestd 1", RPM: begin.RPM, Root: filepath.Join(b.dir, "root") + "/", RootDev: dev, RootIno: ino,
			DBPath: "/var/lib/rpm", DBDev: dbDev, DBIno: dbIno, TID: begin.TID, Flags: begin.Flags,
			Elements: []wire.Element{
				{Type: wire.Added, NEVRA: nevra.NEVRA{Name: "plain", EVR: nevra.EVR{Epoch: 3, Version: "2", Release: "1"}, Arch: "noarch"}},
				{Type: wire.RemovedElement, DBInstance: begin.Elements[1].DBInstance,
					NEVRA: nevra.NEVRA{Name: "plain", EVR: nevra.EVR{Epoch: 3, Version: "1", Release: "1"}, Arch: "noarch"}},
			},
		}
		if diff := cmp.Diff(want, begin); diff != "" {
			t.Errorf("Begin (-want +got):\n%s", diff)
		}
		if begin.RPM == "" || begin.TID == 0 || begin.Test() || begin.JustDB() || begin.Elements[1].DBInstance == 0 {
			t.Errorf("Begin %+v lacks something", begin)
		}
	})
}

// The region must be what is signed, byte for byte, or no signature verifies.
func TestHeaderIsTheSignedRegion(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		if r := b.rpm("-U", "signed-1"); r.code != 0 { // and a warning that the key is unknown
			t.Fatalf("%+v", r)
		}
		h := b.messages()[1].(*wire.Header)
		want := b.rpm("-q", "signed", "--qf", "%{SHA256HEADER}").stdout
		sum := sha256.Sum256(append([]byte(header.Magic), h.Region...))
		if got := hex.EncodeToString(sum[:]); got != want || want == "" {
			t.Errorf("digest of the region %s, rpm says %s", got, want)
		}
		tags := map[uint32]int{}
		for _, s := range h.Signatures {
			tags[s.Tag]++
			// An OpenPGP packet has its first bit set; text in base64 has not.
			if len(s.Data) < 64 || s.Data[0]&0x80 == 0 {
				t.Errorf("signature of tag %d is no packet: %x", s.Tag, s.Data)
			}
		}
		wantTags := map[uint32]int{header.TagRSAHeader: 1}
		// rpm before 6 forgets what it does not know when it reads a package.
		if known := b.rpm("--querytags").stdout; slices.Contains(strings.Fields(known), "OPENPGP") {
			wantTags[header.TagOpenPGP] = 1
		}
		if diff := cmp.Diff(wantTags, tags); diff != "" {
			t.Errorf("signatures by tag (-want +got):\n%s", diff)
		}
		b.ok("-e", "signed")
		if gone := b.messages()[1].(*wire.Removed); gone.Digest != sum {
			t.Errorf("removed %x, want the digest of what was announced, %x", gone.Digest, sum)
		}
	})
}

// rpm before 6.1 runs the package hooks for script stages too, up to four times
// a package; each fact is told once.
func TestRepeatedHooks(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "scripts-1", "trigger-1")
		told := b.trace()
		for _, name := range []string{"scripts-1", "trigger-1"} {
			var got []string
			for _, line := range told {
				if strings.Contains(line, " "+name) {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff([]string{"header " + name + "@0", "installed " + name + "@n"}, got); diff != "" {
				t.Errorf("messages about %s (-want +got):\n%s", name, diff)
			}
		}
		if len(told) != 6 {
			t.Errorf("messages %q", told)
		}
	})
}

func TestUpgrade(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "scripts-1", "trigger-1")
		b.messages()
		b.ok("-U", "scripts-2")
		b.wantTrace("begin [+scripts-2@0 -scripts-1@n]", "header scripts-2@0", "installed scripts-2@n", "removed scripts-1", "end 0")
		b.ok("-e", "scripts", "trigger")
		b.wantTrace("begin [-scripts-2@n -trigger-1@n]", "removed trigger-1", "removed scripts-2", "end 0")
	})
}

func TestDowngrade(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "plain-2")
		b.messages()
		b.ok("-U", "--oldpackage", "plain-1")
		b.wantTrace("begin [+plain-1@0 -plain-2@n]", "header plain-1@0", "installed plain-1@n", "removed plain-2", "end 0")
	})
}

// A reinstall adds before it removes: the header says that it is the same.
func TestReinstall(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "plain-1")
		b.messages()
		b.ok("-U", "--replacepkgs", "plain-1")
		heard := b.messages()
		if diff := cmp.Diff([]string{"begin [+plain-1@0 -plain-1@n]", "header plain-1@0", "installed plain-1@n", "removed plain-1", "end 0"},
			traceOf(heard)); diff != "" {
			t.Fatalf("messages (-want +got):\n%s", diff)
		}
		sum := sha256.Sum256(append([]byte(header.Magic), heard[1].(*wire.Header).Region...))
		if got := heard[3].(*wire.Removed).Digest; got != sum {
			t.Errorf("removed %x, want %x", got, sum)
		}
		if got := b.label("/opt/plain"); got != listName(0) {
			t.Errorf("label %q", got)
		}
	})
}

func TestTestTransaction(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.reply = func(m wire.Message) wire.Message {
			if begin, ok := m.(*wire.Begin); ok && begin.Test() {
				return &wire.Verdict{Notes: []wire.Note{{Level: wire.LevelWarning, Text: "digestd: will be said in the real run"}}}
			}
			return nil
		}
		b.ok("-U", "--test", "plain-1")
		heard := b.messages()
		if !heard[0].(*wire.Begin).Test() {
			t.Error("Begin does not say that it is a test")
		}
		if diff := cmp.Diff([]string{"begin [+plain-1@0]", "end 0"}, traceOf(heard)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}

func TestJustDB(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "--justdb", "plain-1")
		heard := b.messages()
		if !heard[0].(*wire.Begin).JustDB() {
			t.Error("Begin does not say that no file is touched")
		}
		if diff := cmp.Diff([]string{"begin [+plain-1@0]", "header plain-1@0", "installed plain-1@n", "end 0"}, traceOf(heard)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		if b.exists("/opt/plain") {
			t.Error("file is there")
		}
	})
}

func TestNoPlugins(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "--noplugins", "plain-1")
		b.stop()
		b.wantTrace()
	})
}

// A restored package keeps its place in the database, and gets its labels back.
func TestRestore(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.ok("-U", "plain-1")
		b.messages()
		b.setLabel("/opt/plain", "tlv-stale")
		b.ok("--restore", "plain")
		heard := b.messages()
		if diff := cmp.Diff([]string{"begin [=plain-1@n]", "header plain-1@n", "end 0"}, traceOf(heard)); diff != "" {
			t.Fatalf("messages (-want +got):\n%s", diff)
		}
		if got := heard[1].(*wire.Header).Type; got != wire.Restored {
			t.Errorf("type %v", got)
		}
		if got := b.label("/opt/plain"); got != listName(0) {
			t.Errorf("label %q", got)
		}
	})
}

func TestFailedScriptlets(t *testing.T) {
	tests := []struct {
		pkg   string
		erase bool
		trace []string
	}{
		{"badpretrans", false, []string{"begin [+badpretrans-1@0]", "header badpretrans-1@0", "failed badpretrans-1", "end 1"}},
		{"badpre", false, []string{"begin [+badpre-1@0]", "header badpre-1@0", "failed badpre-1", "end 1"}},
		// The package is in place all the same.
		{"badpost", false, []string{"begin [+badpost-1@0]", "header badpost-1@0", "installed badpost-1@n", "end 0"}},
		{"badposttrans", false, []string{"begin [+badposttrans-1@0]", "header badposttrans-1@0", "installed badposttrans-1@n", "end 0"}},
		{"badpreun", true, []string{"begin [-badpreun-1@n]", "failed badpreun-1", "end 1"}},
	}
	for _, test := range tests {
		t.Run(test.pkg, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *box) {
				if test.pkg == "badpretrans" && !b.m.hooksScriptStages() {
					b.rpm("-U", "badpretrans-1")
					b.wantTrace("begin [+badpretrans-1@0]", "end 1")
					return
				}
				if test.erase {
					b.ok("-U", test.pkg+"-1")
					b.messages()
					b.rpm("-e", test.pkg)
				} else {
					b.rpm("-U", test.pkg+"-1")
				}
				b.wantTrace(test.trace...)
			})
		})
	}
}

// The hooks of a package run inside the root, where no socket is.
func TestConnectionIsKeptAcrossChroot(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		if b.exists(b.socket()) {
			t.Fatal("the socket is inside the root")
		}
		b.ok("-U", "third-1", "other-1", "plain-1")
		b.wantTrace("begin [+other-1@0 +plain-1@0 +third-1@0]", "header plain-1@0", "installed plain-1@n",
			"header other-1@0", "installed other-1@n", "header third-1@0", "installed third-1@n", "end 0")
	})
}

func TestNotManaged(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		b.options = "on-unreachable=refuse"
		b.reply = func(m wire.Message) wire.Message { return &wire.Verdict{Decision: wire.NotManaged} }
		b.ok("-U", "plain-1")
		b.stop()
		b.wantTrace("begin [+plain-1@0]")
		if got := b.label("/opt/plain"); got != "" {
			t.Errorf("label %q", got)
		}
	})
}
