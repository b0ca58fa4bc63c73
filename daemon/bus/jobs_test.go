// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/digestd/digestd/integration/needs"
	"github.com/godbus/dbus/v5"
)

// endOf waits for a job's end and returns what it came to.
func endOf(t *testing.T, signals <-chan *dbus.Signal, job uint64) (ok bool, result api.Dict) {
	t.Helper()
	for {
		sig := next(t, signals, api.Interface+".JobFinished")
		var of uint64
		if err := dbus.Store(sig.Body, &of, &ok, &result); err != nil {
			t.Fatal(err)
		}
		if of == job {
			return ok, result
		}
	}
}

func TestJobEnds(t *testing.T) {
	b := &stub{sync: func(_ context.Context, report func(string, int, int)) (api.SyncResult, error) {
		for i := range 10000 {
			report("verifying", i, 10000)
		}
		report("verifying", 10000, 10000)
		report("publishing", 1, 0)
		return api.SyncResult{Installed: 10000}, nil
	}}
	_, private := serve(t, b)
	p := connect(t, private)
	signals := p.listen()
	job := p.must("Sync")[0].(uint64)
	var seen [][]any
	for {
		sig := receive(t, "a signal", signals)
		if sig.Name == api.Interface+".JobFinished" {
			var r api.SyncResult
			if sig.Body[0] != job || sig.Body[1] != true || api.Decode(sig.Body[2].(api.Dict), &r) != nil || r.Installed != 10000 {
				t.Fatalf("ended with %v", sig.Body)
			}
			break
		}
		if sig.Name == api.Interface+".JobProgress" {
			seen = append(seen, sig.Body[1:])
		}
	}
	first, last := seen[0], seen[len(seen)-1]
	if first[0] != "verifying" || first[1] != uint64(0) || last[0] != "publishing" || last[2] != uint64(0) {
		t.Errorf("progress began with %v and ended with %v", first, last)
	}
	if whole := seen[len(seen)-2]; whole[1] != uint64(10000) {
		t.Errorf("the end of the stage was not told, but %v", whole)
	}
	// A report each 100 ms, not one a package.
	if len(seen) > 1000 {
		t.Errorf("%d signals for 10000 reports", len(seen))
	}
}

func TestCancelJob(t *testing.T) {
	running := make(chan struct{})
	b := &stub{sync: func(ctx context.Context, _ func(string, int, int)) (api.SyncResult, error) {
		running <- struct{}{}
		<-ctx.Done()
		return api.SyncResult{}, ctx.Err()
	}}
	_, private := serve(t, b)
	p := connect(t, private)
	signals := p.listen()
	job := p.must("Sync")[0].(uint64)
	receive(t, "the sync", running)
	p.refused("NotFound", "Cancel", job+1)
	p.must("Cancel", job)
	ok, result := endOf(t, signals, job)
	var failure api.Error
	if err := api.Decode(result, &failure); err != nil {
		t.Fatal(err)
	}
	if ok || failure.Code != api.Failed || failure.Message != "the sync was cancelled" {
		t.Errorf("ended with %v, %+v", ok, failure)
	}
	until(t, "the job is forgotten", func() bool { return p.try("Cancel", job).Err != nil })
	p.refused("NotFound", "Cancel", job)
	p.refused("NotFound", "Cancel", uint64(0))
}

// The user who started a job may cancel it without authorization, and so may root; others may
// not, and do not learn which jobs there are.
func TestCancelOthersJob(t *testing.T) {
	needs.Root(t)
	const owner = 1 // a user that the bus finds, too
	running := make(chan struct{})
	b := &stub{sync: func(ctx context.Context, _ func(string, int, int)) (api.SyncResult, error) {
		running <- struct{}{}
		<-ctx.Done()
		return api.SyncResult{}, ctx.Err()
	}}
	s, private := serve(t, b)
	signals := connect(t, private).listen()
	start := func() uint64 {
		t.Helper()
		job, err := s.startSync(api.Actor{UID: owner})
		if err != nil {
			t.Fatal(err)
		}
		receive(t, "the sync", running)
		return job
	}
	job := start()
	other := peer{t, private.ConnectAs(nobody)}
	there, none := other.refused("AccessDenied", "Cancel", job), other.refused("AccessDenied", "Cancel", job+1)
	if strings.ReplaceAll(none, fmt.Sprint(job+1), fmt.Sprint(job)) != there {
		t.Errorf("others are told which jobs there are: %q, %q", there, none)
	}
	peer{t, private.ConnectAs(owner)}.must("Cancel", job)
	endOf(t, signals, job)
	job = start()
	connect(t, private).must("Cancel", job)
	endOf(t, signals, job)
}

// A job outlives who started it: a sync that was asked for is wanted even if
// the terminal went away.
func TestJobOutlivesItsCaller(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	b := &stub{sync: func(ctx context.Context, _ func(string, int, int)) (api.SyncResult, error) {
		close(running)
		<-release
		return api.SyncResult{Installed: 1}, ctx.Err()
	}}
	_, private := serve(t, b)
	signals := connect(t, private).listen()
	gone := connect(t, private)
	job := gone.must("Sync")[0].(uint64)
	receive(t, "the sync", running)
	gone.conn.Close()
	close(release)
	if ok, result := endOf(t, signals, job); !ok {
		t.Errorf("ended with %v", result)
	}
}

func TestTooManyJobs(t *testing.T) {
	var running atomic.Int32
	b := &stub{sync: func(ctx context.Context, _ func(string, int, int)) (api.SyncResult, error) {
		running.Add(1)
		defer running.Add(-1)
		<-ctx.Done()
		return api.SyncResult{}, ctx.Err()
	}}
	s, private := serve(t, b)
	p := connect(t, private)
	seen := map[uint64]bool{}
	for range object.MaxJobs {
		seen[p.must("Sync")[0].(uint64)] = true
	}
	if len(seen) != object.MaxJobs {
		t.Errorf("%d numbers for %d jobs", len(seen), object.MaxJobs)
	}
	p.refused("Busy", "Sync")
	// Ending cancels all and waits for them.
	s.Close()
	if n := running.Load(); n != 0 {
		t.Errorf("%d jobs run after the end", n)
	}
}

func TestFaultInAJob(t *testing.T) {
	b := &stub{sync: func(context.Context, func(string, int, int)) (api.SyncResult, error) { panic("what is in memory") }}
	_, private := serve(t, b)
	p := connect(t, private)
	signals := p.listen()
	if ok, result := endOf(t, signals, p.must("Sync")[0].(uint64)); ok || result["code"].Value() != string(api.Failed) {
		t.Errorf("ended with %v, %v", ok, result)
	}
	p.must("Status")
}
