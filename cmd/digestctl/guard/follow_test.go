// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/kernel/guard"
)

// denials --follow tells of what was refused already, then of each thing that comes, until
// it is interrupted, which is no error.
func TestFollow(t *testing.T) {
	w := ctltest.NewWorld(t)
	w.Start()
	socket := filepath.Join(t.TempDir(), "guard.sock")
	var l protocol.Log
	stop, err := guardtest.Serve(socket, guardtest.NewMemory(), protocol.Facts{Wanted: protocol.Change{Mode: "audit"}, Most: guard.Enforce}, &l, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop() })
	refuse := func(path string) {
		l.Add(&guard.Event{Act: guard.Execute, Reason: guard.Unlisted, Digest: &guard.Digest{byte(len(path))}, Path: path}, time.Now(), "")
	}
	refuse("/a")
	cmd := w.Digestctl("guard", "denials", "--follow", "--json", "--socket", socket)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	told := json.NewDecoder(out)
	next := func(path string, count uint64) {
		t.Helper()
		var d api.GuardDenial
		if err := told.Decode(&d); err != nil || d.Path != path || d.Count != count || d.Why.Verdict != api.VerdictUnknown {
			t.Fatalf("%+v, %v; want %s, %d times", d, err, path, count)
		}
	}
	next("/a", 1)
	refuse("/bb")
	next("/bb", 1)
	refuse("/a")
	next("/a", 2)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := told.Decode(new(any)); err == nil {
		t.Error("it went on after it was interrupted")
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}
