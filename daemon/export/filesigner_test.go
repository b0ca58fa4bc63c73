// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/store/record"
)

func TestExecutable(t *testing.T) {
	for _, tc := range []struct {
		base string
		mode uint16
		want bool
	}{
		{"tool", 0o100755, true},
		{"tool", 0o100711, true},
		{"text", 0o100644, false},
		{"libc.so.6", 0o100644, true},
		{"module.so", 0o100644, true},
		{"ext4.ko", 0o100644, true},
		{"ext4.ko.xz", 0o100644, true},
		{"archive.xz", 0o100644, false},
		{"also", 0o100644, false},
		{"directory", 0o040755, false},
		{"link", 0o120777, false},
	} {
		f := header.File{Base: []byte(tc.base), Mode: tc.mode, Digest: []byte{1}}
		if got := executable(f); got != tc.want {
			t.Errorf("%s, mode %o: %t, want %t", tc.base, tc.mode, got, tc.want)
		}
		f.Flags = header.FileGhost
		if executable(f) {
			t.Errorf("%s, a ghost, is executable", tc.base)
		}
	}
}

// The places of the files of a list are known also when the ledger has forgotten the list:
// their signatures must go.
func TestListIsLostWhereItsFilesAre(t *testing.T) {
	moved := header.Relocations{{From: []byte("/opt"), To: []byte("/srv")}}
	x := &Exporter{Host: &host.Host{}}
	x.Config.IMASignatures = true
	s := ledger.New(state.Settings{}, time.Now())
	s.SignsFiles = true
	s.Put(&view.Entry{List: record.List{Name: "tlv-known", Moved: moved}})
	for _, w := range []state.Withdrawal{{Name: "tlv-forgotten", Entry: &view.Entry{List: record.List{Name: "tlv-forgotten", Moved: moved}}}, {Name: "tlv-known"}} {
		x.LostList(s, w, []byte("list"))
		if gone := x.gone.take(); len(gone) != 1 || gone[0].name != w.Name || gone[0].moved.Path("/opt/x") != "/srv/x" {
			t.Errorf("of %s, signatures are looked at of %+v", w.Name, gone)
		}
	}
}
