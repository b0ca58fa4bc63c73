// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

func TestDenials(t *testing.T) {
	b := &stub{}
	_, private := serve(t, b)
	p := connect(t, private)
	end := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	var d api.Denial
	if err := api.Decode(p.must("Deny", "openssl<3", "/usr/bin/\u009b", "why", "CVE-1", uint64(end.UnixMicro()))[0].(api.Dict), &d); err != nil {
		t.Fatal(err)
	}
	if d.What != "openssl<3" || d.Ticket != "CVE-1" || !d.Expires.Equal(end) || d.Path != "/usr/bin/\u009b" {
		t.Errorf("%+v", d)
	}
	d = api.Denial{}
	if err := api.Decode(p.must("Deny", "openssl", "", "why", "", uint64(0))[0].(api.Dict), &d); err != nil || !d.Expires.IsZero() {
		t.Errorf("0 is not for ever: %+v, %v", d, err)
	}
	p.must("Deny", "openssl", "", "why", "", ^uint64(0)) // far away, not long ago
	var r api.DenialImport
	if err := api.Decode(p.must("DenialsImport", []byte("{}\n"), true)[0].(api.Dict), &r); err != nil || !r.DryRun || r.Added != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	made := len(b.changes)
	for _, args := range [][]any{
		{"Deny", "openssl", "", "", "", uint64(0)},
		{"Deny", "open\nssl", "", "why", "", uint64(0)},
		{"Deny", "openssl", "", "wh\ny", "", uint64(0)},
		{"Deny", "openssl", "", "why", "C\nVE", uint64(0)},
		{"Deny", strings.Repeat("a", 1025), "", "why", "", uint64(0)},
		{"Deny", "openssl", strings.Repeat("a", 4097), "why", "", uint64(0)},
		{"DenialLift", "d-1", ""},
		{"DenialLift", strings.Repeat("a", 4097), "why"},
		{"DenialsImport", []byte("a\x00b"), false},
		{"Denials", uint32(0), uint32(1001)},
	} {
		p.refused("InvalidArgument", args[0].(string), args[1:]...)
	}
	// Not sent: bytes by the million are slow to travel.
	for _, m := range (&Server{}).denialMethods() {
		if m.Name == "DenialsImport" && m.In[0].Check(make([]byte, api.MaxDenialDocument+1)) == nil {
			t.Error("a document without end is let in")
		}
	}
	if len(b.changes) != made {
		t.Errorf("what was refused reached the backend: %v", b.changes[made:])
	}
}
