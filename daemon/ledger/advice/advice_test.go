// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

var two = nevra.EVR{Version: "2", Release: "1"}

// spoken is a table in which a repository says that tool below 2-1 must not come.
func spoken() (t Table, b record.Batch) {
	t = NewTable()
	t.AdvisoriesBind = true
	t.SetOrigin(&b, record.Origin{Name: "advisory:updates", Strength: "signed by KEY", Keys: []string{"key"}})
	t.SetAdvised(&b, "advisory:updates", "tool", []record.AdvisedFloor{{Origin: "advisory:updates", Name: "tool", Arch: "noarch", EVR: two, Why: "VSA-1"}})
	return t, b
}

func TestHeed(t *testing.T) {
	table, _ := spoken()
	tool := nevra.NEVRA{Name: "tool", Arch: "noarch", EVR: nevra.EVR{Version: "1", Release: "1"}}
	for name, x := range map[string]struct {
		pkg              nevra.NEVRA
		told             Told
		installed        string // the key of what is
		binds, undecided bool
	}{
		"by its key":           {tool, Told{Header: true, Key: "key"}, "", true, false},
		"by another":           {tool, Told{Header: true, Key: "other"}, "", false, false},
		"nobody knows yet":     {tool, Told{}, "", false, true},
		"installed by its key": {tool, Told{}, "key", true, false},
		"mended":               {nevra.NEVRA{Name: "tool", Arch: "noarch", EVR: two}, Told{Header: true, Key: "key"}, "", false, false},
		"of a module":          {tool, Told{Header: true, Key: "key", Module: "tool:1"}, "", false, false},
		"another name":         {nevra.NEVRA{Name: "other", Arch: "noarch", EVR: tool.EVR}, Told{Header: true, Key: "key"}, "", false, false},
	} {
		var line policy.Line
		table.CompleteLine(&line, x.pkg, x.told, func(keys []string) bool { return slices.Contains(keys, x.installed) })
		if (line.Advised != nil) != x.binds || line.Undecided != x.undecided {
			t.Errorf("%s: %+v, undecided %v", name, line.Advised, line.Undecided)
		}
		if line.Advised != nil && line.Advised.Text != "VSA-1 fixes it, says repository updates, signed by KEY" {
			t.Errorf("%s: %q", name, line.Advised.Text)
		}
	}
}

// A copy of a table that somebody else has stays as it was.
func TestShare(t *testing.T) {
	table, b := spoken()
	seen := table.View()
	table.Share()
	table.SetAdvised(&b, "advisory:updates", "more", []record.AdvisedFloor{{Origin: "advisory:updates", Name: "more", EVR: two}})
	if len(seen.Advised) != 1 || len(table.Advised) != 2 {
		t.Errorf("seen %v, now %v", seen.Advised, table.Advised)
	}
	table.Share()
	if n := table.DropOrigin(&b, "advisory:updates"); n != 2 || len(table.Advised)+len(table.Origins) != 0 || len(seen.Advised) != 1 {
		t.Errorf("%d dropped, left %v", n, table.Advised)
	}
	if records, _, err := b.Records(); err != nil || len(records) != 3 || slices.ContainsFunc(records, func(r record.Record) bool { return r.Value != nil }) {
		t.Errorf("%v, %v: the index keeps something", records, err)
	}
}

func TestToldBy(t *testing.T) {
	c := &view.Candidate{Module: "a:b"}
	if got := ToldBy(c); got != (Told{Header: true, Module: "a:b"}) {
		t.Errorf("%+v", got)
	}
	c.Key = &pgp.Cert{Fingerprint: "key"}
	if got := ToldBy(c); got.Key != "key" {
		t.Errorf("%+v", got)
	}
}
