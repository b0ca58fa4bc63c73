// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// changes are what a list relies on that is being made, each with something that
// changes it.
func changes(key string) map[string]func(ctx context.Context, d *Daemon) error {
	return map[string]func(ctx context.Context, d *Daemon) error{
		"a key": func(ctx context.Context, d *Daemon) error {
			_, err := d.KeyRevoke(ctx, api.Actor{}, key, "leaked")
			return err
		},
		"denials": func(ctx context.Context, d *Daemon) error {
			return d.rooms.Denier.SetOthers(ctx, "somebody", []policy.Denial{{Package: policy.Range{Name: "other"}}})
		},
		"unsigned": func(ctx context.Context, d *Daemon) error {
			c := d.Config
			c.Unsigned = "withhold"
			return d.adopt(ctx, c)
		},
		"mode": func(ctx context.Context, d *Daemon) error {
			c := d.Config
			c.Mode = "audit"
			return d.adopt(ctx, c)
		},
		"multiversion": func(ctx context.Context, d *Daemon) error {
			c := d.Config
			c.MultiVersion = []string{"hello"}
			return d.adopt(ctx, c)
		},
		"order": func(ctx context.Context, d *Daemon) error {
			return d.Exec.Decide(ctx, "order", func(s *ledger.Ledger) error {
				return s.SetOrder(map[string]uint32{"tlv-other-0:1-1.noarch": 1}, "test", record.Act{})
			})
		},
		"signer": func(ctx context.Context, d *Daemon) error {
			return d.rooms.Enroller.RenewIdentity(ctx, api.Actor{}, "test")
		},
	}
}

// TestStaleCandidateIsMadeAgain: a list that was made before something changed on which
// it relies is not published once that is answered.
func TestStaleCandidateIsMadeAgain(t *testing.T) {
	const key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for name, change := range changes(key) {
		t.Run(name, func(t *testing.T) {
			d := bare(t)
			txn := newTransaction()
			d.on(t, func(s *ledger.Ledger) error {
				s.SetKey(record.Key{Fingerprint: key, Owner: "somebody"})
				s.Opened(txn)
				s.Record()
				return nil
			})
			c := d.staged(t, "hello", "", "a")
			if err := change(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			add := func(c *view.Candidate) error {
				return d.on(t, func(s *ledger.Ledger) error {
					_, err := s.Add(txn, 0, c)
					return err
				})
			}
			if err := add(c); !errors.Is(err, ledger.ErrAgain) {
				t.Errorf("got %v, want that it is made again", err)
			}
			if names, _ := d.Dir.Names(); len(names) > 0 {
				t.Errorf("published: %v", names)
			}
			if err := add(d.staged(t, "hello", "again", "a")); err != nil {
				t.Errorf("made again: %v", err)
			}
		})
	}
}

// TestBasisStays: what changes nothing makes nothing begin again, or nothing would end.
func TestBasisStays(t *testing.T) {
	d := bare(t)
	refresh := func() {
		t.Helper()
		if err := d.rooms.Keys.Refresh(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	before := d.Snapshot().Basis
	refresh()
	txn := newTransaction()
	d.on(t, func(s *ledger.Ledger) error {
		s.Opened(txn)
		s.Record()
		return nil
	})
	if _, _, err := d.Exec.End(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
	if now := d.Snapshot().Basis; now != before {
		t.Errorf("basis rose from %d to %d", before, now)
	}
}

// TestUnknownKeyWaitsForIncompleteStores: a key that is gone takes its lists away, but
// not while a store of keys cannot be read.
func TestUnknownKeyWaitsForIncompleteStores(t *testing.T) {
	d := bare(t)
	list := d.publishFor(t, "hello", "a")
	d.on(t, func(s *ledger.Ledger) error {
		e := *s.ByName[list]
		e.Key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		e.Signature = &record.Signature{Key: e.Key, Made: time.Unix(1, 0)}
		s.Put(&e)
		s.Record()
		return nil
	})
	adopt := func(src grounds.KeySources) {
		t.Helper()
		if err := d.Exec.Decide(t.Context(), "keys", func(s *ledger.Ledger) error { s.AdoptKeys(&src); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	there := func() bool { names, _ := d.Dir.Names(); return slices.Contains(names, list) }
	adopt(grounds.KeySources{Errs: []error{errors.New("a file could not be read")}})
	if !there() {
		t.Error("the list went while keys could not be read")
	}
	adopt(grounds.KeySources{})
	if there() {
		t.Error("the list of a key that is gone stays")
	}
	if e := d.Snapshot().List(list); !e.Suspended() || e.Reason != string(policy.ReasonUnknownKey) {
		t.Errorf("it is %+v", e.List)
	}
	c, err := d.Index.Load()
	if err != nil || len(c.Lists) != 1 || c.Lists[0].State != record.Withheld {
		t.Errorf("the index has %+v, %v", c.Lists, err)
	}
}

// TestNothingGoesBeforeKeysAreRead: an empty keyring of a start judges nothing.
func TestNothingGoesBeforeKeysAreRead(t *testing.T) {
	d := bare(t)
	list := d.publishFor(t, "hello", "a")
	d.on(t, func(s *ledger.Ledger) error {
		e := *s.ByName[list]
		e.Key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		s.Put(&e)
		return nil
	})
	if err := d.adopt(t.Context(), d.Config); err != nil {
		t.Fatal(err)
	}
	if names, _ := d.Dir.Names(); len(names) != 1 {
		t.Errorf("the list directory has %v", names)
	}
}
