// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store/record"
)

// journal writes records that journalctl -x explains. Any goroutine may call it.
type journal struct {
	mu sync.Mutex
	to *audit.Journal
}

// send reports whether journald took a record.
func (j *journal) send(e record.Event) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.to.Send(e) == nil
}

// switched records a change of mode that was asked for at the socket.
func (j *journal) switched(to protocol.Change, by protocol.For) {
	text := to.Reason
	switch {
	case to.Confirm:
		text = joined("the trial was confirmed", text)
	case to.Trial > 0:
		text = joined(fmt.Sprintf("for %v", to.Trial), text)
	}
	j.send(record.Event{When: time.Now(), Kind: audit.KindGuardSwitched, Reason: to.Mode, Text: text, UID: by.UID, PID: by.PID, Unit: kernel.UnitOf(by.PID)})
}

// exempted records a change of exemptions that was asked for at the socket.
func (j *journal) exempted(e protocol.Exemption, by protocol.For) {
	j.send(record.Event{When: time.Now(), Kind: audit.KindGuardExempted, Reason: e.What(), Text: joined(e.Group, e.Reason), UID: by.UID, PID: by.PID, Unit: kernel.UnitOf(by.PID)})
}

func joined(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// refused is the record of a refusal, or of what would have been one.
func refused(e *guard.Event, at time.Time, unit string) record.Event {
	kind := audit.KindGuardAudited
	if e.Refused {
		kind = audit.KindGuardRefused
	}
	digest := "unknown"
	if e.Digest != nil {
		digest = fmt.Sprintf("%x", *e.Digest)
	}
	text := fmt.Sprintf("%s of %q by %q (PID %d), digest %s; %s", e.Act, e.Path, e.Process.Command, e.Process.PID, digest, wayOut)
	return record.Event{When: at, Kind: kind, Reason: e.Reason.String(), Text: text, UID: e.Process.UID, PID: e.Process.PID, Unit: unit}
}
