// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/hooks/wire"
)

// TestWordIsKept: a package manager that was told that nothing will be refused may have
// unpacked by the time that a denial comes. Its package has no list, and is not refused; the
// next transaction is.
func TestWordIsKept(t *testing.T) {
	m := start(t)
	region, sigs := m.headerOf(m.build("late-1-1.noarch"))
	client := wire.NewClient(m.dial())
	verdict, err := client.Begin(t.Context(), m.begin(brings("late", "1")))
	if err != nil || verdict.Decision != wire.Assured {
		t.Fatalf("verdict %+v, %v", verdict, err)
	}
	m.Must("deny", "late<2", "--reason", "test")
	list, err := client.Header(t.Context(), &wire.Header{Type: wire.Added, Region: region, Signatures: sigs})
	if err != nil || list.Decision != wire.NoList {
		t.Fatalf("list %+v, %v", list, err)
	}
	client.Installed(&wire.Installed{DBInstance: 1})
	ack, err := client.End(t.Context(), &wire.End{})
	if err != nil || len(ack.Notes) != 1 || !strings.Contains(ack.Notes[0].Text, "denied") {
		t.Fatalf("end %+v, %v", ack, err)
	}
	m.WantLists()
	verdict, err = wire.NewClient(m.dial()).Begin(t.Context(), m.begin(brings("late", "1")))
	if err != nil || verdict.Decision != wire.Refuse {
		t.Errorf("the next transaction: %+v, %v", verdict, err)
	}
}
