// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// A grant on whose strength a list is published cannot be taken back before the end of
// the transaction: it would be neither used nor there.
func TestGrantInUse(t *testing.T) {
	d, stop := serve(t, testConfig(t))
	defer stop()
	pkg := nevra.NEVRA{Name: "hello", EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
	var txn state.Transaction
	take := func() error { return d.RollbackRevoke(t.Context(), api.Actor{}, pkg.String()) }
	err := d.on(t, func(s *ledger.Ledger) error {
		s.SetLine(record.Line{Name: pkg.Name, Arch: pkg.Arch, Grants: []record.Grant{{EVR: pkg.EVR}}})
		txn.Added = map[record.Digest]*state.Addition{{1}: {Candidate: view.Candidate{Pkg: pkg}, Decision: policy.Decision{Grant: true}}}
		s.Open[&txn] = true
		s.Record()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var refused *api.Error
	if err := take(); !errors.As(err, &refused) || refused.Code != api.Busy {
		t.Errorf("taken back in use: %v", err)
	}
	d.on(t, func(s *ledger.Ledger) error { delete(s.Open, &txn); return nil })
	if err := take(); err != nil {
		t.Error(err)
	}
}
