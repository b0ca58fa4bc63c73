// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/preflight"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store/record"
)

// examineTime bounds a preflight: a call has to end before its caller gives up.
const examineTime = 15 * time.Second

// GuardSwitch puts a mode in force until the next change, or the machine starts again, and
// records who did it.
func (m *Manager) GuardSwitch(ctx context.Context, by api.Actor, req api.GuardRequest) (api.Guard, error) {
	if err := m.admit(ctx, by, req); err != nil {
		return api.Guard{}, err
	}
	change := protocol.Change{Mode: req.Mode, Trial: req.Trial, Confirm: req.Confirm, Reason: req.Reason, For: &protocol.For{UID: by.UID, PID: by.PID, Unit: cut(by.Unit)}}
	err := m.ask(ctx, func(ctx context.Context, c *protocol.Client) error { return c.Change(ctx, change) })
	if errors.Is(err, protocol.ErrRefused) {
		err = &api.Error{Code: api.Failed, Message: "cannot change the guard's mode: " + err.Error(), Advice: "see digestctl guard status"}
	}
	if err != nil {
		return api.Guard{}, err
	}
	text := ""
	switch {
	case req.Confirm:
		text = "the trial was confirmed"
	case req.Trial > 0:
		text = fmt.Sprintf("for %v", req.Trial)
	}
	if req.Reason != "" && text != "" {
		text += ": "
	}
	m.Setup.Record(ctx, record.Event{Kind: audit.KindGuardSwitched, Reason: req.Mode, Text: text + req.Reason, UID: by.UID, PID: by.PID, Unit: by.Unit})
	m.mu.Lock()
	m.when = time.Time{}
	m.mu.Unlock()
	return m.Guard(ctx)
}

// cut shortens the name of a unit to what the protocol carries.
func cut(unit string) string { return unit[:min(len(unit), 256)] }

// admit refuses to enforce what would lock the owner out. Everything else may be put in
// force at any time.
func (m *Manager) admit(ctx context.Context, by api.Actor, req api.GuardRequest) error {
	mode, err := guard.ParseMode(req.Mode)
	switch {
	case err != nil:
		return api.Errorf(api.InvalidArgument, "%v", err)
	case req.Trial < 0:
		return api.Errorf(api.InvalidArgument, "a trial cannot last %v", req.Trial)
	case mode != guard.Enforce || req.Confirm:
		return nil
	case req.Force && req.Reason == "":
		return api.Errorf(api.InvalidArgument, "forcing mode enforce needs a reason, which is recorded with your user")
	case req.Force, req.Checked && by.Privileged():
		return nil
	case req.Trial == 0:
		return &api.Error{Code: api.InvalidArgument, Message: "mode enforce must begin with a trial, because digestd cannot see all processes",
			Advice: "try it first: digestctl guard enforce --for 10m"}
	}
	var r preflight.Report
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	err = m.ask(ctx, func(_ context.Context, c *protocol.Client) (err error) {
		// To hash them takes longer than one question.
		r, err = preflight.Machine{Proc: "/proc", Shells: "/etc/shells", Listed: c.Listed}.Examine(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if n := len(r.Findings); n > 0 {
		return &api.Error{Code: api.Failed, Message: fmt.Sprintf("the guard would refuse %d of %d needed files, such as %s", n, r.Looked, r.Findings[0].Path),
			Advice: "see digestctl guard check"}
	}
	return nil
}

func digestOf(text string) (d guard.Digest, ok bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(d) {
		return d, false
	}
	return guard.Digest(b), true
}
