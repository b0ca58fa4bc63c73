// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/integration/needs"
)

// An act that cannot be recorded has not happened.
func TestFailedActHasNotHappened(t *testing.T) {
	type act func(t *testing.T, m *daemontest.Machine) error
	denies := func(what string) act {
		return func(t *testing.T, m *daemontest.Machine) error {
			_, err := m.Deny(t.Context(), by, what, "", "why", "", time.Time{})
			return err
		}
	}
	orders := func(t *testing.T, m *daemontest.Machine) error {
		_, err := m.OrderSet(t.Context(), by, uses(helloList), "why")
		return err
	}
	grants := func(t *testing.T, m *daemontest.Machine) error {
		_, err := m.RollbackGrant(t.Context(), by, "hello-0-1.noarch", "why")
		return err
	}
	revokes := func(owner string) act {
		return func(t *testing.T, m *daemontest.Machine) error {
			_, err := m.KeyRevoke(t.Context(), by, fingerprint(t, owner), "why")
			return err
		}
	}
	floors := func(evr string) act {
		return func(t *testing.T, m *daemontest.Machine) error {
			return m.FloorSet(t.Context(), by, "hello.noarch", evr, "why")
		}
	}
	for name, test := range map[string]struct{ before, act act }{
		"grant": {nil, grants},
		"grant taken back": {grants, func(t *testing.T, m *daemontest.Machine) error {
			return m.RollbackRevoke(t.Context(), by, "hello-0-1.noarch")
		}},
		"floor": {nil, floors("2-1")},
		"floor cleared": {floors("1-1"), func(t *testing.T, m *daemontest.Machine) error {
			return m.FloorClear(t.Context(), by, "hello.noarch", "why")
		}},
		"order":          {nil, orders},
		"order cleared":  {orders, func(t *testing.T, m *daemontest.Machine) error { return m.OrderClear(t.Context(), by, "why") }},
		"package denied": {nil, denies("hello")},
		"content denied": {nil, denies(digest("one"))},
		"document imported": {nil, func(t *testing.T, m *daemontest.Machine) error {
			_, err := m.DenialsImport(t.Context(), by, document(`{"package":"hello","reason":"r"}`), false)
			return err
		}},
		"denial lifted": {denies("absent"), func(t *testing.T, m *daemontest.Machine) error {
			_, err := m.DenialLift(t.Context(), by, "absent", "why")
			return err
		}},
		"key revoked": {nil, revokes("vendor")},
		"key restored": {revokes("another"), func(t *testing.T, m *daemontest.Machine) error {
			_, err := m.KeyRestore(t.Context(), by, fingerprint(t, "another"), "why")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			if test.before != nil {
				if err := test.before(t, m); err != nil {
					t.Fatal(err)
				}
			}
			m.ActFailsWhole(t, func() error { return test.act(t, m) })
		})
	}
	t.Run("prefetch", func(t *testing.T) {
		needs.Root(t)
		m := machine(t)
		m.ActFailsWhole(t, func() error { return m.OrderPrefetch(t.Context(), by, true) })
	})
}
