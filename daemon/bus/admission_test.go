// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/digestd/digestd/integration/needs"
	"github.com/godbus/dbus/v5"
)

// However many calls of ordinary users wait, few are answered at a time, at most
// one of each user; root waits for none of them, and no user for all of another's.
func TestTurns(t *testing.T) {
	needs.Root(t)
	var mu sync.Mutex
	running, most := map[uint32]int{}, 0
	entered, release := make(chan uint32, 1000), make(chan struct{})
	b := &stub{why: func(_ context.Context, by api.Actor, path string) (api.Why, error) {
		if by.UID == 0 {
			return api.Why{Path: path}, nil
		}
		mu.Lock()
		running[by.UID]++
		if running[by.UID] > 1 {
			t.Errorf("%d calls of user %d are answered at a time", running[by.UID], by.UID)
		}
		all := 0
		for _, n := range running {
			all += n
		}
		most = max(most, all)
		mu.Unlock()
		entered <- by.UID
		<-release
		mu.Lock()
		running[by.UID]--
		mu.Unlock()
		return api.Why{}, nil
	}}
	_, private := serve(t, b)
	replies := make(chan *dbus.Call, 1000)
	ask := func(uid int) {
		private.ConnectAs(uid).Object(api.BusName, api.Path).Go(api.Interface+".Why", 0, replies, "/a")
	}
	flood := func(uid, calls int) {
		for left := calls; left > 0; left -= object.MaxCallsEach {
			conn := private.ConnectAs(uid)
			for range min(left, object.MaxCallsEach) {
				conn.Object(api.BusName, api.Path).Go(api.Interface+".Why", 0, replies, "/a")
			}
		}
	}
	const excess = 7
	flood(nobody, object.MaxCallsUser+excess)
	for range excess {
		if err := receive(t, "a refusal", replies).Err; err == nil || api.FromDBus(err).(*api.Error).Code != api.Busy {
			t.Fatalf("got %v, want Busy", err)
		}
	}
	if uid := receive(t, "a turn", entered); uid != nobody {
		t.Fatalf("the first turn is that of %d", uid)
	}
	started := time.Now()
	connect(t, private).must("Why", "/root")
	if took := time.Since(started); took > time.Second {
		t.Errorf("root waited %v", took)
	}
	ask(1)
	ask(2)
	// The other turn is free, and then each user's in order.
	if uid := receive(t, "a turn", entered); uid == nobody {
		t.Error("a user has two turns")
	}
	close(release)
	for range object.MaxCallsUser + 2 {
		if err := receive(t, "an answer", replies).Err; err != nil {
			t.Fatal(err)
		}
	}
	if most > object.MaxTurns {
		t.Errorf("%d calls were answered at a time, want at most %d", most, object.MaxTurns)
	}
}
