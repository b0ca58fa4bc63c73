// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/store/record"
)

// An act that has nothing to do says so, and leaves no record.
func TestActsThatChangeNothing(t *testing.T) {
	needs.Root(t)
	c := testConfig(t)
	c.Labels = false
	d, stop := serve(t, c)
	defer stop()
	d.publishFor(t, "hello", "a")
	key := strings.Repeat("ab", 20)
	if err := d.on(t, func(s *ledger.Ledger) error {
		s.SetKey(record.Key{Fingerprint: key, Owner: "somebody", FirstSeen: s.Now()})
		s.Record()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var by api.Actor
	log := [][]byte{[]byte(filepath.Join(c.Lists, "tlv-hello-0:1-1.noarch"))}
	if _, err := d.OrderSet(t.Context(), by, log, "why"); err != nil {
		t.Fatal(err)
	}
	if err := d.OrderPrefetch(t.Context(), by, true); err != nil {
		t.Fatal(err)
	}
	before := d.durable(t)
	for name, act := range map[string]func() error{
		"restore":  func() error { _, err := d.KeyRestore(t.Context(), by, key, "why"); return err },
		"order":    func() error { _, err := d.OrderSet(t.Context(), by, log, "why"); return err },
		"prefetch": func() error { return d.OrderPrefetch(t.Context(), by, true) },
	} {
		var e *api.Error
		if err := act(); !errors.As(err, &e) || e.Code != api.Unchanged {
			t.Errorf("%s: %v, want the code %s", name, err, api.Unchanged)
		}
	}
	if err := d.probe(t); err != nil {
		t.Fatal(err)
	}
	if after := d.durable(t); after != before {
		t.Errorf("the index has\n%s\nand had\n%s", after, before)
	}
}
