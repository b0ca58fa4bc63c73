// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"path"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// memoryLog is what was decided before the scripts begin, if "daemon eventful".
var memoryLog = []api.Event{
	{Kind: "first-sync", Text: "2 lists published"},
	{Kind: "rollback-refused", Package: "bash-0:5.1-2.x86_64", NEVRA: "bash-0:5.1-2.x86_64", Reason: "rollback",
		Text: "bash-0:5.1-2.x86_64: older than 5.2-1, which was active", Actor: api.Actor{PID: 71, Unit: "dnf-makecache.service"}},
	{Kind: "granted", Package: "bash-0:5.1-2.x86_64", NEVRA: "bash-0:5.1-2.x86_64", Text: "regression", Actor: api.Actor{UID: 65534, PID: 72, Unit: "session-3.scope"}},
	{Kind: "withdrawn", Package: "bash-0:5.2-1.x86_64", NEVRA: "bash-0:5.2-1.x86_64", List: "tlv-bash", Digest: hexB, Key: VendorKey, Counter: 7,
		Reason: "replaced", Actor: api.Actor{PID: 73}},
	{Kind: "key-revoked", Key: VendorKey, Reason: "rpm's keyring", Text: "removed from rpm's keyring"},
	{Kind: "tampered", List: "evil\x1b[2J", Reason: "tampered", Text: "another program put it there"},
	{Kind: "floor-set", Package: "bash.x86_64", Reason: "0:5.2-1", Text: "ticket 4711", Actor: api.Actor{PID: 75}},
	{Kind: "of-a-newer-digestd", Package: "bash.x86_64", Actor: api.Actor{PID: 74}},
}

func (m *Daemon) events() []api.Event {
	if m.variant != "eventful" {
		return m.log
	}
	log := slices.Clone(memoryLog)
	for i := range log {
		log[i].Seq, log[i].When = uint64(i+1), Noon.Add(time.Duration(i)*time.Hour)
	}
	slices.Reverse(log)
	return log
}

// LogVerify finds a fault in a log that is broken, and where somebody has kept another head.
func (m *Daemon) LogVerify(_ context.Context, head string) (api.LogCheck, error) {
	c := api.LogCheck{Entries: 8, Unchained: 2, Faults: []string{}, Heads: []api.LogHead{
		{Room: "decisions", Seq: 8, Hash: hexA}, {Room: "tampering", Seq: 6, Hash: hexB, Dropped: 3, DroppedHash: hexA}}}
	if m.is("broken") {
		c.Faults = []string{"entry 5 was changed, or entries before it were cut, added or moved"}
	}
	if head != "" && head != "8:"+hexA {
		c.Faults = append(c.Faults, "the log does not continue the head "+head)
	}
	return c, nil
}

func (m *Daemon) Log(_ context.Context, f api.LogFilter, offset, limit uint32) ([]api.Event, uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	is := func(glob, text string) bool {
		ok, _ := path.Match(glob, text)
		return glob == "" || ok
	}
	var found []api.Event
	for _, e := range m.events() {
		if is(f.Kind, e.Kind) && is(f.Package, e.Package) && (f.Key == "" || f.Key == e.Key) && (f.UID == nil || *f.UID == e.Actor.UID) &&
			!e.When.Before(f.Since) && (f.Until.IsZero() || e.When.Before(f.Until)) && e.Seq > f.After && (f.Before == 0 || e.Seq < f.Before) {
			found = append(found, e)
		}
	}
	page := found[min(int(offset), len(found)):]
	return page[:min(int(limit), len(page))], uint32(len(found)), nil
}
