// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/integration/bench/gendb"
)

// The prediction for a package is what happens to it.
func TestCheck(t *testing.T) {
	m := daemontest.New(t, func(c *config.Config) { c.Unsigned = "withhold" })
	files := map[string]string{"/usr/bin/tool": "content"}
	of := func(name, version, owner string) gendb.Small {
		p := daemontest.Package(t, name, owner, files)
		p.NEVRA.Version = version
		return p
	}
	m.Import(t, daemontest.Key(t, "vendor"))
	installed := of("tool", "2", "vendor")
	m.Install(t, installed)
	m.Sync(t)
	check := func(p gendb.Small) api.Check {
		t.Helper()
		made, err := gendb.Make(p)
		if err != nil {
			t.Fatal(err)
		}
		c, err := m.Check(t.Context(), made.Blob, made.Head)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, test := range []struct {
		name    string
		pkg     gendb.Small
		verdict string
		reason  string
		text    string
	}{
		{"installed", installed, api.CheckAllowed, "", "is installed, and its list is active"},
		{"newer", of("tool", "3", "vendor"), api.CheckAllowed, "", "would be installed with a list"},
		{"older", of("tool", "1", "vendor"), api.CheckRefused, "rollback", "older than 2-1"},
		{"of a stranger", of("other", "1", "stranger"), api.CheckWithheld, "unknown-key", "other-1-1.noarch"},
		{"unsigned", of("other", "1", ""), api.CheckWithheld, "unsigned", "other-1-1.noarch"},
		{"without files", daemontest.Package(t, "empty", "vendor", nil), api.CheckNeedless, "no-files", "no regular files"},
	} {
		c := check(test.pkg)
		if c.Verdict != test.verdict || c.Reason != test.reason || !strings.Contains(c.Text, test.text) || !c.Header {
			t.Errorf("%s: %+v", test.name, c)
		}
		if test.name == "newer" && (c.List != "tlv-tool-0:3-1.noarch" || c.Files != 1 || !slices.Equal(c.Active, []string{"tool-2-1.noarch"}) || c.Key == "" || !strings.Contains(c.KeyOwner, "vendor")) {
			t.Errorf("%s: %+v", test.name, c)
		}
	}

	if _, err := m.Deny(t.Context(), daemontest.Root, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("content"))), "", "why", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	two := of("two", "1", "vendor")
	two.Files = map[string]string{"/usr/bin/tool": "content", "/usr/bin/else": "another"}
	if c := check(two); c.Verdict != api.CheckAllowed || c.Files != 1 || !slices.Equal(c.Denied, []string{"/usr/bin/tool"}) {
		t.Errorf("a package with a denied file: %+v", c)
	}
	if err := m.FloorSet(t.Context(), daemontest.Root, "later.noarch", "0:5-1", "why"); err != nil {
		t.Fatal(err)
	}
	if c := check(of("later", "4", "vendor")); c.Verdict != api.CheckRefused || c.Reason != "rollback-floor" || c.Advice == "" {
		t.Errorf("a package below its floor: %+v", c)
	}
	// Nothing of all this is remembered.
	m.Sync(t)
	if names := m.Names(t); len(names) != 0 {
		t.Errorf("lists are %v, and the only one has nothing left", names)
	}
}

func TestCheckVersion(t *testing.T) {
	m := daemontest.New(t)
	tool := daemontest.Package(t, "tool", "", map[string]string{"/usr/bin/tool": "content"})
	tool.NEVRA.Version = "2"
	m.Install(t, tool)
	m.Sync(t)
	for version, want := range map[string]string{"tool-1-1.noarch": api.CheckRefused, "tool-2-1.noarch": api.CheckAllowed, "tool-0:3-1.noarch": api.CheckAllowed, "new-1-1.noarch": api.CheckAllowed} {
		c, err := m.CheckVersion(t.Context(), version)
		if err != nil || c.Verdict != want || c.Header {
			t.Errorf("%s: %+v, %v", version, c, err)
		}
	}
	if _, err := m.CheckVersion(t.Context(), "no version"); err == nil {
		t.Error("no version was checked")
	}
}

// Bytes that are no header are the caller's mistake.
func TestCheckRefusesWhatIsNoHeader(t *testing.T) {
	m := daemontest.New(t)
	made, err := gendb.Make(daemontest.Package(t, "tool", "", map[string]string{"/usr/bin/tool": "content"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, heads := range map[string][2][]byte{
		"nothing": {nil, nil}, "text": {[]byte("text that is no header"), nil}, "cut": {made.Blob[:len(made.Blob)-1], nil}, "bad signatures": {made.Blob, []byte("x")},
	} {
		if c, err := m.Check(t.Context(), heads[0], heads[1]); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// The list of a package of a stranger is not made: a small header can have a list a hundred times
// as large, and everybody may ask.
func TestCheckMakesNoListOfAStranger(t *testing.T) {
	m := daemontest.New(t, func(c *config.Config) { c.Unsigned = "withhold" })
	files := map[string]string{}
	dir := "/" + strings.Repeat(strings.Repeat("d", 199)+"/", 18)
	for i := range 5000 {
		files[dir+fmt.Sprint(i)] = "content"
	}
	for _, owner := range []string{"", "stranger"} {
		made, err := gendb.Make(daemontest.Package(t, "large", owner, files))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c, err := m.Check(t.Context(), made.Blob, made.Head)
		runtime.ReadMemStats(&after)
		if err != nil || c.Verdict != api.CheckWithheld {
			t.Errorf("%+v, %v", c, err)
		}
		if took, list := after.TotalAlloc-before.TotalAlloc, uint64(len(dir)*len(files)); took > list/2 {
			t.Errorf("a header of %d KiB took %d KiB of memory", len(made.Blob)>>10, took>>10)
		}
	}
}
