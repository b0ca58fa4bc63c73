// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"crypto/sha256"
	"os"
	"time"

	"github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	kernel "github.com/digestd/digestd/kernel/guard"
	"github.com/rogpeppe/go-internal/testscript"
)

// lenient is a guard whose lists hold everything, but for one content.
type lenient struct {
	*guardtest.Memory
	but *kernel.Digest
}

func (l lenient) Listed(digests []kernel.Digest) ([]bool, error) {
	listed := make([]bool, len(digests))
	for i, d := range digests {
		listed[i] = l.but == nil || d != *l.but
	}
	return listed, nil
}

// guardCommand serves a guard at $WORK/guard.sock until the script ends:
//
//	guard MODE         that mode is wanted, and the digests were compared with the index
//	guard MODE new     they were not compared yet
//	guard MODE FILE    every content is listed, but that of a file
//
// It has refused one content, and let another run.
func guardCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: guard MODE [new|FILE]")
	}
	maps := lenient{Memory: guardtest.NewMemory()}
	maps.Lists[kernel.Digest{1}] = 2
	maps.At = 7
	if len(args) == 2 {
		if args[1] == "new" {
			maps.At = 0
		} else {
			data, err := os.ReadFile(args[1])
			ts.Check(err)
			d := kernel.Digest(sha256.Sum256(data))
			maps.but = &d
		}
	}
	var l guard.Log
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l.Add(&kernel.Event{Act: kernel.Execute, Reason: kernel.Unlisted, Refused: true, Digest: &kernel.Digest{0xab}, Path: "/tmp/\x1b[2Jtool",
		Process: kernel.Process{PID: 12, Parent: 1, UID: 1000, Command: "sh"}}, at, "session-1.scope")
	for i := range 3 {
		l.Add(&kernel.Event{Act: kernel.Protect, Reason: kernel.Written, File: kernel.FileID{Device: 8<<20 | 1, Inode: 42},
			Process: kernel.Process{PID: 13, Command: "java"}}, at.Add(time.Duration(i+1)*time.Minute), "")
	}
	facts := guard.Facts{Wanted: guard.Change{Mode: args[0]}, Most: kernel.Enforce, Modules: kernel.Audit}
	stop, err := guardtest.Serve(ts.MkAbs("guard.sock"), maps, facts, &l, os.Getuid())
	ts.Check(err)
	ts.Defer(func() { stop() })
}
