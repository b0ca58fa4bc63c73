// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"testing"

	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/daemon/bus/object"
)

func TestBusRestarts(t *testing.T) {
	s, private := serve(t, &stub{})
	connect(t, private).must("Status")
	private.Stop()
	until(t, "the loss is noticed", func() bool { return !s.Connected() })
	s.ListPublished("tlv-lost", "lost-1-1.noarch") // nobody hears it, and it must not block
	private.Start()
	until(t, "it is back on the bus", s.Connected)

	p := connect(t, private)
	p.must("Status")
	// The identity of callers was forgotten with the old bus, and is found again.
	p.must("RollbackRevoke", "bash-1-1.noarch")
	signals := p.listen()
	s.ListPublished("tlv-new", "new-1-1.noarch")
	if got := next(t, signals, "org.digestd1.Manager.ListPublished"); got.Body[0] != "tlv-new" {
		t.Errorf("got %v", got.Body)
	}
}

func TestBusComesLater(t *testing.T) {
	private := bustest.New(t)
	s := putOn(t, private, &stub{})
	if s.Connected() {
		t.Fatal("connected to a bus that does not run")
	}
	private.Start()
	until(t, "it is on the bus", s.Connected)
	connect(t, private).must("Status")
}

func TestNameTaken(t *testing.T) {
	_, private := serve(t, &stub{})
	s, err := Serve(t.Context(), private.Address, &stub{}, quiet)
	if err == nil {
		s.Close()
		t.Fatal("two daemons on one bus")
	}
	if !errors.Is(err, ErrNameTaken) {
		t.Fatalf("got %v, want %v", err, ErrNameTaken)
	}
	if want := "cannot serve org.digestd1: org.digestd1 is taken: another digestd serves this bus"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	connect(t, private).must("Status") // the first goes on
}

func TestNameRefused(t *testing.T) {
	private := bustest.Start(t, `<deny own="org.digestd1"/>`)
	_, err := Serve(t.Context(), private.Address, &stub{}, quiet)
	if err == nil || errors.Is(err, ErrNameTaken) || errors.Is(err, object.ErrUnreachable) {
		t.Fatalf("got %v, want the bus's refusal", err)
	}
}

// Ending frees the name at once, for the daemon that is started next.
func TestCloseFreesTheName(t *testing.T) {
	private := bustest.Start(t)
	for range 3 {
		s, err := Serve(t.Context(), private.Address, &stub{}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

// Signals that were queued before the end are still sent.
func TestLastSignals(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	private := bustest.Start(t)
	s, err := Serve(ctx, private.Address, &stub{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it is on the bus", s.Connected)
	signals := connect(t, private).listen()
	for range 100 {
		s.TransactionFinished(1, 2)
	}
	cancel()
	s.Close()
	for range 100 {
		next(t, signals, "org.digestd1.Manager.TransactionFinished")
	}
}
