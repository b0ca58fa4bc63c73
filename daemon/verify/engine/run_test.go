// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/kernel"
	godiff "github.com/google/go-cmp/cmp"
)

// A list that is replaced while its files are read says nothing against them.
func TestListLeavesMeanwhile(t *testing.T) {
	p := newPlace(t)
	p.list("tlv-a", "/usr/bin/a", "a")
	p.write("/usr/bin/a", "of the next version", 0o755)
	p.spec.Tree = false
	root, err := kernel.OpenRoot(p.spec.Root)
	p.ok(err)
	defer root.Close()
	e := &engine{spec: p.spec, root: root, index: newIndex(&p.spec, root)}
	_, stamp, err := e.index.read(e.index.entries[0], nil)
	p.ok(err)
	u := newUnit(verify.Unit{})
	u.entry, u.stamp = &e.index.entries[0], stamp
	u.found(api.Finding{Kind: api.FindingChanged})
	e.settle(u)
	if len(u.Findings) != 1 || u.Moved {
		t.Error("a finding was taken back")
	}
	p.ok(os.Remove(filepath.Join(p.spec.Lists, "tlv-a")))
	e.settle(u)
	if len(u.Findings) != 0 || !u.Moved {
		t.Error("a finding stands against a version that has gone")
	}
}

// Interrupted anywhere, a run that goes on tells the rest: nothing twice, nothing
// left out.
func TestResume(t *testing.T) {
	p := newPlace(t)
	for _, name := range []string{"a", "b", "c"} {
		p.list("tlv-"+name, "/usr/bin/"+name, name, "/usr/lib/"+name+"/data", name+name)
		p.write("/usr/bin/"+name, "changed", 0o755)
		p.write("/opt/"+name+"/bin/x", "of nobody, "+name, 0o755)
		p.write("/opt/"+name+"/y", "of nobody, "+name, 0o755)
	}
	whole := p.verify()
	if len(whole.findings) != 9 || len(whole.units) < 10 {
		t.Fatalf("%d findings in %d units", len(whole.findings), len(whole.units))
	}
	for n, u := range whole.units {
		p.spec.After = u.Cursor
		r := p.verify()
		if diff := godiff.Diff(whole.units[n+1:], r.units); n+1 < len(whole.units) && diff != "" {
			t.Errorf("after unit %d (%+v):\n%s", n, u.Cursor, diff)
		}
	}
}

// One that is cancelled does not claim what it passed over.
func TestCancel(t *testing.T) {
	p := newPlace(t)
	for i := range 400 {
		p.list(fmt.Sprintf("tlv-%03d", i), fmt.Sprintf("/usr/bin/%03d", i), "x")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var told int
	err := run(ctx, p.spec, nil, func(m verify.Message) error {
		if m.Unit != nil {
			if told += m.Unit.Files; m.Unit.Files == 0 && m.Unit.Package {
				t.Errorf("unit %+v without its file", m.Unit)
			}
			if told == 10 {
				cancel()
			}
		}
		return nil
	})
	if err == nil || told < 10 || told > 390 {
		t.Errorf("cancelled after %d files: %v", told, err)
	}
}

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		attrs  uint32
		state  byte
		absent bool
		name   string
	}{
		{0, 0, false, ""}, {attrConfig, 0, false, "config"}, {attrDoc, stateNotInstalled, true, "documentation"}, {attrLicense, 0, false, "documentation"},
		{0, stateWrongColor, true, ""}, {0, stateNetShared, true, ""}, {0, 1, false, ""}, {0, 255, false, ""}, {attrConfig | attrDoc, 0, false, "config"},
	} {
		r := roleOf(c.attrs, ^uint32(0), c.state)
		if (r&roleAbsent != 0) != c.absent || r.String() != c.name {
			t.Errorf("attributes %#x, state %d: %#x %q", c.attrs, c.state, r, r)
		}
	}
}

func TestCompareDirs(t *testing.T) {
	sorted := []string{"/", "/a", "/a/b", "/a/b/c", "/a/c", "/a-b", "/a.b/c", "/b"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := compareDirs(a, b); got != cmp.Compare(i, j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}
