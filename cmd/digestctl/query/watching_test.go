// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/google/go-cmp/cmp"
)

func TestWatch(t *testing.T) {
	w := ctltest.NewWorld(t)
	watch := w.Watch()
	watch.Wants("waiting     digestd is not on the bus")
	start := func() {
		t.Helper()
		w.Start()
		watch.Wants("watching    digestd 0.1.0, healthy, 1 active list")
	}
	start()
	w.Server.ListPublished("tlv-bash-0:5.2-1.x86_64", "bash-5.2-1.x86_64")
	watch.Wants("published   bash-5.2-1.x86_64")
	w.Server.ListWithdrawn("tlv-evil-0:1-1.noarch", "evil\x1b[2J-1-1.noarch", "removed")
	watch.Wants(`withdrawn   evil\x1b[2J-1-1.noarch: removed`)
	w.Server.RollbackRefused("bash-5.1-1.x86_64", "older than 5.2-1")
	watch.Wants("refused     bash-5.1-1.x86_64: older than 5.2-1")
	w.Server.KeyRevoked(ctltest.VendorKey, "stolen", 12)
	watch.Wants("revoked     key " + ctltest.VendorKey + ": stolen; lists withdrawn: 12")
	w.Server.Denied("d1", "openssl < 3.0.7-18", "CVE-2022-3602")
	watch.Wants("denied      openssl < 3.0.7-18: CVE-2022-3602")
	w.Server.DenialLifted("d1", "openssl < 3.0.7-18", "mended")
	watch.Wants("lifted      the denial of openssl < 3.0.7-18: mended")
	w.Server.TamperDetected("tlv-intruder", "")
	watch.Wants("tampered    tlv-intruder")
	w.Daemon.Vary("degraded")
	w.Server.Changed()
	watch.Wants("now         Problems 2, State degraded, Transaction true, Verified " + terminal.Moment(ctltest.Noon) + ", VerifyErrors 3")
	w.Daemon.Vary("")
	w.Server.TransactionFinished(3, 1)
	watch.Wants("transaction ended: 3 published, 1 withdrawn")
	watch.Wants("now         Problems 0, State healthy, Transaction false, Verified never, VerifyErrors 0")

	w.Stop()
	watch.Wants("left        digestd left the bus")
	start()
	w.Server.ListPublished("tlv-bash-0:5.2-2.x86_64", "bash-5.2-2.x86_64")
	watch.Wants("published   bash-5.2-2.x86_64")
	watch.Interrupt()
}

func TestWatchForPrograms(t *testing.T) {
	w := ctltest.NewWorld(t)
	w.Start()
	watch := w.Watch("--json")
	wants := func(want string) {
		t.Helper()
		var got, wanted map[string]any
		line := watch.Next()
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
			t.Error(err)
		}
		delete(got, "time")
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
	wants(`{"event": "Watching", "fields": {"version": "0.1.0", "state": "healthy", "activeLists": 1}}`)
	w.Server.ListWithdrawn("tlv-a-0:1-1.noarch", "a-1-1.noarch", "removed")
	wants(`{"event": "ListWithdrawn", "fields": {"list": "tlv-a-0:1-1.noarch", "nevra": "a-1-1.noarch", "reason": "removed"}}`)
	w.Stop()
	wants(`{"event": "Left", "fields": {}}`)
	watch.Interrupt()
}

// At a terminal a line breaks between words, and the rest stands under its text. A word names
// the event; a color only repeats it.
func TestWatchOnTerminals(t *testing.T) {
	w := ctltest.NewWorld(t)
	w.Start()
	tell := func(watch *ctltest.Watch) {
		t.Helper()
		watch.Wants("watching    digestd 0.1.0, healthy, 1 active list")
		w.Server.RollbackRefused("日本語フォント-1-1.noarch", "it is older than 0:2-1, which was active here, and nobody granted it")
	}
	narrow := w.WatchOnTerminal(80, "--no-color")
	tell(narrow)
	narrow.Wants("refused     日本語フォント-1-1.noarch: it is older than")
	for _, want := range []string{"0:2-1, which was active here, and nobody", "granted it"} {
		if line := narrow.Next(); line != strings.Repeat(" ", 33)+want {
			t.Errorf("it continues with %q, want %q", line, want)
		}
	}
	narrow.Interrupt()

	wide := w.WatchOnTerminal(200, "--no-color")
	tell(wide)
	wide.Wants("refused     日本語フォント-1-1.noarch: it is older than 0:2-1, which was active here, and nobody granted it")
	w.Server.ListWithdrawn("tlv-evil", "\u202egnp.exe\u2066-1-1.noarch", "removed")
	wide.Wants(`withdrawn   \u202egnp.exe\u2066-1-1.noarch: removed`)
	w.Server.ListPublished("tlv-fonts", "גופנים-1-1.noarch")
	wide.Wants("published   גופנים-1-1.noarch")
	wide.Interrupt()

	t.Setenv("TERM", "xterm")
	colored := w.WatchOnTerminal(200)
	if line := colored.Next(); !strings.HasSuffix(line, "\x1b[32mwatching   \x1b[0m digestd 0.1.0, healthy, 1 active list") {
		t.Errorf("in colors it says %q", line)
	}
	colored.Interrupt()
}
