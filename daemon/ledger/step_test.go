// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// BenchmarkStep measures a step of the ledger: the header of an upgrade comes in, the
// plan with its list goes out, where 2,000 lists are known. The bound is 2 µs and 2
// allocations. With "published" the list also appears and is entered,
// and all of it is taken back.
func BenchmarkStep(b *testing.B) {
	for _, published := range []bool{false, true} {
		name := "decided"
		if published {
			name = "published"
		}
		b.Run(name, func(b *testing.B) {
			step := newStep(b, published)
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// A step allocates only its results: the addition, and the entry of its list.
func TestStepAllocations(t *testing.T) {
	for published, want := range map[bool]float64{false: 1, true: 2} {
		if got := testing.AllocsPerRun(100, newStep(t, published)); got > want {
			t.Errorf("published %t: %v allocations", published, got)
		}
	}
}

// newStep returns a function that takes one step, and all of it back.
func newStep(tb testing.TB, published bool) func() {
	l := ledger.New(state.Settings{Mode: policy.Enforce}, time.Now())
	digest := func(kind byte, i int) record.Digest { return record.Digest{kind, byte(i), byte(i >> 8)} }
	l.Begin()
	for i := range 2000 {
		pkg := nevra.NEVRA{Name: fmt.Sprintf("package%d", i), EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "x86_64"}
		e := &view.Entry{List: record.List{Name: "tlv-" + pkg.String(), State: record.Active, Package: pkg, Header: digest(1, i), Body: digest(2, i)}}
		l.SaveLine(view.LineOf(pkg), l.PolicyLine(view.LineOf(pkg)).Activate(pkg.EVR, l.NextCounter()))
		l.Put(e)
	}
	l.Stand()
	l.Queue = state.Records{}
	l.MetaMark = state.OpenMark{Queued: true, Durable: true}
	l.View()

	pkg := nevra.NEVRA{Name: "package1000", EVR: nevra.EVR{Version: "2", Release: "1"}, Arch: "x86_64"}
	c := &view.Candidate{Pkg: pkg, Header: digest(1, 5000), Name: "tlv-" + pkg.String(), Basis: l.Basis}
	c.Body = digest(2, 5000)
	t := &state.Transaction{Added: map[record.Digest]*state.Addition{}, ByIndex: map[uint32]*state.Addition{}}
	l.Opened(t)
	l.MetaMark = state.OpenMark{Queued: true, Durable: true}
	return func() {
		l.Begin()
		a, err := l.Add(t, 0, c)
		p := l.Seal()
		if err != nil || a.Decision.Verdict != policy.Allow || len(p.Publish) != 1 || p.Intent != nil {
			tb.Fatalf("%+v, %v, %+v", a, err, p)
		}
		if published {
			if err := p.Publish[0].Then.Appeared(state.Published{}); err != nil {
				tb.Fatal(err)
			}
			clear(t.Added)
			t.Touched = t.Touched[:0]
			l.Rollback()
		} else {
			l.Stand()
		}
		l.Reuse(p)
	}
}
