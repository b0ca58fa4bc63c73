// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// memoryLog is what was decided before the scripts begin, if "daemon eventful".
var memoryLog = []api.Event{
	{Kind: "first-sync", Text: "2 lists published"},
	{Kind: "rollback-refused", Package: "bash-0:5.1-2.x86_64", NEVRA: "bash-0:5.1-2.x86_64", Reason: "rollback",
		Text: "bash-0:5.1-2.x86_64: older than 5.2-1, which was active", Actor: api.Actor{PID: 71, Unit: "dnf-makecache.service"}},
	{Kind: "granted", Package: "bash-0:5.1-2.x86_64", NEVRA: "bash-0:5.1-2.x86_64", Text: "regression", Actor: api.Actor{UID: 65534, PID: 72, Unit: "session-3.scope"}},
	{Kind: "withdrawn", Package: "bash-0:5.2-1.x86_64", NEVRA: "bash-0:5.2-1.x86_64", List: "tlv-bash", Digest: hexB, Key: vendorKey, Counter: 7,
		Reason: "replaced", Actor: api.Actor{PID: 73}},
	{Kind: "key-revoked", Key: vendorKey, Reason: "rpm's keyring", Text: "removed from rpm's keyring"},
	{Kind: "tampered", List: "evil\x1b[2J", Reason: "tampered", Text: "put there by another hand"},
	{Kind: "floor-set", Package: "bash.x86_64", Reason: "0:5.2-1", Text: "ticket 4711", Actor: api.Actor{PID: 75}},
	{Kind: "of-a-newer-digestd", Package: "bash.x86_64", Actor: api.Actor{PID: 74}},
}

func (m *memoryDaemon) events() []api.Event {
	if m.variant != "eventful" {
		return m.log
	}
	log := slices.Clone(memoryLog)
	for i := range log {
		log[i].Seq, log[i].When = uint64(i+1), noon.Add(time.Duration(i)*time.Hour)
	}
	slices.Reverse(log)
	return log
}

func (m *memoryDaemon) Log(_ context.Context, f api.LogFilter, offset, limit uint32) ([]api.Event, uint32, error) {
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

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 4, 15, 6, 7, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"":                     "0001-01-01T00:00:00Z",
		"2026-01-31":           "2026-01-31T00:00:00+01:00",
		"2026-01-31 12:00":     "2026-01-31T12:00:00+01:00",
		"2026-01-31 12:00:30":  "2026-01-31T12:00:30+01:00",
		"2026-01-31T12:00:00Z": "2026-01-31T12:00:00Z",
		"12:30":                "2026-03-04T12:30:00+01:00",
		"90s":                  "2026-03-04T15:04:37+01:00",
		"1h30m":                "2026-03-04T13:36:07+01:00",
		"4d":                   "2026-02-28T15:06:07+01:00",
	} {
		got, err := parseTime("since", text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "31", "d", "2026-13-01", "99999999999d"} {
		if got, err := parseTime("since", text, now); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
