// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"context"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/integration/needs"
)

// TestBlacklistIsFollowed: a change of the kernel's .blacklist is noticed, also where that
// comes up only later.
func TestBlacklistIsFollowed(t *testing.T) {
	needs.Root(t)
	for name, late := range map[string]bool{"there": false, "late": true} {
		t.Run(name, func(t *testing.T) { blacklistIsFollowed(t, late) })
	}
}

func blacklistIsFollowed(t *testing.T, late bool) {
	m := daemontest.New(t, func(c *config.Config) { c.KernelPoll = "100ms" })
	blacklist := m.Blacklist(t)
	blacklist.Hidden.Store(late)
	daemontest.Loop(t, m.Reconciler.KernelLoop)
	if late {
		time.Sleep(150 * time.Millisecond)
		blacklist.Hidden.Store(false)
		awaitWish(t, m, "the kernel's .blacklist changed")
	}
	blacklist.Add(t, []byte{1, 2, 3, 4})
	awaitWish(t, m, "the kernel's .blacklist changed")
}

// TestBlacklistIsLeftAlone: nobody looks again and again into what cannot change, or what
// nobody asked to be looked at.
func TestBlacklistIsLeftAlone(t *testing.T) {
	m := daemontest.New(t)
	m.Blacklist(t).Hidden.Store(true)
	for _, poll := range []string{"auto", "never"} {
		m.Host.Config.KernelPoll = poll
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { ended <- m.Reconciler.KernelLoop(ctx) }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s: %v", poll, err)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: it looks on", poll)
		}
	}
}
