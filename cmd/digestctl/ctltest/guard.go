// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/guard/manage"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/digestlist"
	files "github.com/digestd/digestd/kernel"
	kernel "github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store/record"
	"github.com/rogpeppe/go-internal/testscript"
)

// lenient is a guard whose lists hold everything, but for one content.
type lenient struct {
	*guardtest.Memory
	but  *kernel.Digest
	none bool // they hold nothing
}

func (l lenient) Listed(digests []kernel.Digest) ([]bool, error) {
	listed := make([]bool, len(digests))
	for i, d := range digests {
		listed[i] = !l.none && (l.but == nil || d != *l.but)
	}
	return listed, nil
}

// guardCommand serves a guard at $WORK/guard.sock until the script ends:
//
//	guard MODE         that mode is wanted, and the digests were compared with the index
//	guard MODE new     they were not compared yet
//	guard MODE FILE    every content is listed, but that of a file
//	guard MODE nothing no content is listed
//
// It has refused one content, and let another run.
func guardCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: guard MODE [new|nothing|FILE]")
	}
	maps := lenient{Memory: guardtest.NewMemory()}
	maps.Lists[kernel.Digest{1}] = 2
	maps.At = 7
	if len(args) == 2 {
		switch args[1] {
		case "new":
			maps.At = 0
		case "nothing":
			maps.none = true
		default:
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
	// Programs of the script, as if its directory were /: one where only root can write, and
	// one where everybody can.
	ts.Check(os.Chmod(ts.MkAbs("."), 0o755))
	for name, mode := range map[string]os.FileMode{"open": 0o777, "bin": 0o755} {
		if program, err := os.ReadFile(ts.MkAbs(filepath.Join(name, "tool"))); err == nil {
			ts.Check(os.Chmod(ts.MkAbs(name), mode))
			d := kernel.Digest(sha256.Sum256(program))
			l.Add(&kernel.Event{Act: kernel.Execute, Reason: kernel.Unlisted, Digest: &d, Path: filepath.Join("/", name, "tool"),
				Process: kernel.Process{PID: 14, UID: 4000000001, Command: "bash"}}, at.Add(time.Hour), "user@4000000001.service")
		}
	}
	stop, err := guardtest.Serve(ts.MkAbs("guard.sock"), maps, facts, &l, os.Getuid())
	ts.Check(err)
	ts.Defer(func() { stop() })
	ts.Value(worldKey{}).(*World).Daemon.manage(ts, ts.MkAbs("guard.sock"))
}

// manage has the daemon know a guard, by what the real one knows it.
func (m *Daemon) manage(ts *testscript.TestScript, socket string) {
	files, err := files.OpenRoot(ts.MkAbs("."))
	ts.Check(err)
	ts.Defer(func() { files.Close() })
	m.guard.Store(manage.New(manage.Setup{Wanted: api.GuardAudit, Socket: socket, Lists: m, Files: files, Record: m.recordGuard,
		Look: func(ctx context.Context, path string, algos ...digestlist.Algo) (look.File, error) {
			return look.At(ctx, files, path, algos...)
		}}))
}

// recordGuard is what the daemon's log gets.
func (m *Daemon) recordGuard(_ context.Context, e record.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record(api.Event{Kind: e.Kind, Package: e.Package, Reason: e.Reason, Text: e.Text, Actor: api.Actor{UID: e.UID}})
}

func (m *Daemon) Guard(ctx context.Context) (api.Guard, error) { return m.guard.Load().Guard(ctx) }
func (m *Daemon) Recent() api.Guard                            { return m.guard.Load().Recent() }
func (m *Daemon) Judge(ctx context.Context, w *api.Why)        { m.guard.Load().Judge(ctx, w) }

func (m *Daemon) GuardDenials(ctx context.Context, offset, limit uint32) ([]api.GuardDenial, uint32, error) {
	return m.guard.Load().GuardDenials(ctx, offset, limit)
}

func (m *Daemon) GuardCandidates(ctx context.Context, offset, limit uint32) ([]api.GuardCandidate, uint32, error) {
	return m.guard.Load().GuardCandidates(ctx, offset, limit)
}

func (m *Daemon) GuardSwitch(ctx context.Context, by api.Actor, req api.GuardRequest) (api.Guard, error) {
	return m.guard.Load().GuardSwitch(ctx, by, req)
}

func (m *Daemon) GuardExempt(ctx context.Context, by api.Actor, req api.GuardExemptRequest) (api.Guard, error) {
	return m.guard.Load().GuardExempt(ctx, by, req)
}

func (m *Daemon) GuardLearn(ctx context.Context, by api.Actor, list string, digests []string, reason string, report func(string, int, int)) (api.OwnResult, error) {
	return m.guard.Load().GuardLearn(ctx, by, list, digests, reason, report)
}
