// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// The lists of a machine that has one in each state.
const (
	helloList    = "tlv-hello-0:1-1.noarch"
	strangerList = "tlv-stranger-0:1-1.noarch"
	emptyList    = "tlv-empty-0:1-1.noarch"
	ownList      = "tlv-own-mine"
	strayList    = "tlv-stray-0:1-1.noarch"
)

// machine has a package with a list, one that nobody signed, one without files, an own
// list, a file in quarantine and a list that was retired.
func machine(t *testing.T) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t, func(c *config.Config) { c.Unsigned = "withhold" })
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one", "/usr/bin/hi": "two", "/usr/lib/\xff": "three"})
	gone := daemontest.Package(t, "gone", "vendor", map[string]string{"/usr/bin/gone": "four"})
	m.Import(t, hello.Key)
	m.Install(t, hello, gone, daemontest.Package(t, "stranger", "", map[string]string{"/usr/bin/stranger": "five", "/usr/bin/hello": "one"}),
		daemontest.Package(t, "empty", "vendor", nil))
	m.Sync(t)
	m.Own(t, "mine", 0, daemontest.Body(t, digestlist.SHA512, map[string]string{"/opt/mine": "six"}))
	m.Erase(t, gone)
	if err := os.WriteFile(filepath.Join(m.Config.Lists, strayList), []byte("not ours"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	return m
}

func TestStatus(t *testing.T) {
	m := machine(t)
	st := m.Status()
	if want := (api.Counts{Active: 2, Withheld: 1, Quarantined: 1, Retired: 1, Own: 1}); st.Lists != want {
		t.Errorf("the lists are %+v, want %+v", st.Lists, want)
	}
	if st.Packages != 3 || st.Files != 4 {
		t.Errorf("%d packages have %d files in active lists; want 3 and 4", st.Packages, st.Files)
	}
	vendor := daemontest.Key(t, "vendor").Fingerprint()
	if len(st.Keys) != 1 || st.Keys[0].Fingerprint != vendor || st.Keys[0].Lists != 1 || st.Keys[0].Files != 3 {
		t.Errorf("the keys are %+v, want %s with a list of 3 files", st.Keys, vendor)
	}
	if st.Mode != "enforce" || st.Unsigned != "withhold" || st.Sign != "pkcs7" || st.Format != "tlv" || st.ListDirectory != m.Config.Lists || st.DatabaseKind != "sqlite" {
		t.Errorf("the settings are %+v", st)
	}
	if st.Certificate.Path != filepath.Join(m.Config.State, "signing.crt") || st.Certificate.SKI == "" {
		t.Errorf("the certificate is %+v", st.Certificate)
	}
	if st.LastSync.Installed != 3 || st.LastSync.Quarantined != 1 || st.Transaction || st.Verified.State != "" {
		t.Errorf("the last comparison is %+v, a transaction is open: %v, verified: %+v", st.LastSync, st.Transaction, st.Verified)
	}
	if _, err := m.KeyRevoke(t.Context(), daemontest.Root, vendor, "test"); err != nil {
		t.Fatal(err)
	}
	if st = m.Status(); len(st.Keys) != 0 || st.Lists.Active != 1 || st.Lists.Withheld != 2 || st.Files != 1 {
		t.Errorf("with the key revoked, the keys are %+v, the lists %+v of %d files", st.Keys, st.Lists, st.Files)
	}
}

func TestListsSelected(t *testing.T) {
	m := machine(t)
	for filter, want := range map[string][]string{
		"":                   {emptyList, helloList, ownList, strangerList, strayList},
		api.StateActive:      {helloList, ownList},
		api.StateEmpty:       {emptyList},
		api.StateWithheld:    {strangerList},
		api.StateQuarantined: {strayList},
		api.StateRetired:     nil, // for Retired
		"*er*":               {strangerList},
		"hel*":               {helloList}, // by its package
		"own:m*":             {ownList},
		"tlv-st*":            {strangerList, strayList},
		"nothing":            nil,
	} {
		var names []string
		for _, l := range pages(t, 2, func(offset, limit uint32) ([]api.List, uint32, error) {
			return m.Lists(t.Context(), filter, offset, limit)
		}) {
			names = append(names, l.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%q selects %v, want %v", filter, names, want)
		}
	}
	_, _, err := m.Lists(t.Context(), "[", 0, 1)
	wantCode(t, "a pattern that is none", err, api.InvalidArgument)
}

// The description of a list depends on its state: only what lies somewhere has a path.
func TestListsDescribed(t *testing.T) {
	m := machine(t)
	all, _, err := m.Lists(t.Context(), "", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]api.List{}
	for _, l := range all {
		by[l.Name] = l
	}
	vendor := daemontest.Key(t, "vendor")
	hello := by[helloList]
	data, err := os.ReadFile(hello.Path)
	if err != nil || filepath.Dir(hello.Path) != m.Config.Lists {
		t.Fatalf("the list lies at %s (%v)", hello.Path, err)
	}
	body, _, _, err := digestlist.SplitSignature(data)
	if sum := sha256.Sum256(body); err != nil || hello.BodyDigest != hex.EncodeToString(sum[:]) {
		t.Errorf("the digest of its body is %s (%v)", hello.BodyDigest, err)
	}
	if hello.NEVRA != "hello-1-1.noarch" || hello.Key != vendor.Fingerprint() || hello.KeyOwner == "" || hello.Files != 3 || hello.Counter == 0 ||
		hello.Signer != m.Status().Certificate.SKI {
		t.Errorf("the active list is %+v", hello)
	}
	if l := by[strangerList]; l.Path != "" || l.Reason != "unsigned" || l.Text == "" || l.Key != "" {
		t.Errorf("the withheld list is %+v", l)
	}
	if l := by[emptyList]; l.Path != "" || l.Files != 0 || l.BodyDigest != "" {
		t.Errorf("the empty list is %+v", l)
	}
	if l := by[ownList]; l.Own != "mine" || l.Files != 1 || l.Path == "" {
		t.Errorf("the own list is %+v", l)
	}
	aside := by[strayList]
	data, err = os.ReadFile(aside.Path)
	if sum := sha256.Sum256(data); err != nil || string(data) != "not ours" || aside.BodyDigest != hex.EncodeToString(sum[:]) || aside.Reason != "tampered" || aside.NEVRA != "" {
		t.Errorf("in quarantine is %+v, with %q (%v)", aside, data, err)
	}
}

func TestShow(t *testing.T) {
	m := machine(t)
	for _, name := range []string{"hello", "hello.noarch", "hello-1-1.noarch", "hello-0:1-1.noarch", helloList} {
		if found, err := m.Show(t.Context(), name); err != nil || len(found) != 1 || found[0].Name != helloList {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	for _, name := range []string{"hell", "hello-2-1.noarch", "gone", strayList, ""} {
		_, err := m.Show(t.Context(), name)
		wantCode(t, name, err, api.NotFound)
	}
}

func TestFiles(t *testing.T) {
	m := machine(t)
	ask := func(list string) func(offset, limit uint32) ([]api.File, uint32, error) {
		return func(offset, limit uint32) ([]api.File, uint32, error) {
			return m.Files(t.Context(), list, offset, limit)
		}
	}
	content := map[string]string{"/usr/bin/hello": "one", "/usr/bin/hi": "two", "/usr/lib/\xff": "three"}
	files := pages(t, 2, ask(helloList))
	for _, f := range files {
		path := f.Path
		if f.RawPath != nil {
			path = string(f.RawPath)
		}
		if (f.RawPath != nil) != (path == "/usr/lib/\xff") {
			t.Errorf("%q has the raw path %q", path, f.RawPath)
		}
		if sum := sha256.Sum256([]byte(content[path])); f.Algo != "sha256" || f.Digest != hex.EncodeToString(sum[:]) {
			t.Errorf("%q has the %s digest %s", path, f.Algo, f.Digest)
		}
		delete(content, path)
	}
	if len(content) > 0 {
		t.Errorf("not among %+v: %q", files, content)
	}
	if own := pages(t, 10, ask(ownList)); len(own) != 1 || own[0].Algo != "sha512" || own[0].Path != "/opt/mine" {
		t.Errorf("the own list has %+v", own)
	}
	for _, list := range []string{strangerList, emptyList, strayList, "hello", ""} {
		_, _, err := ask(list)(0, 1)
		wantCode(t, list, err, api.NotFound)
	}
}

// Retired lists have the entry by which the kernel's .blacklist keeps them away.
func TestRetired(t *testing.T) {
	m := machine(t)
	retired := pages(t, 1, func(offset, limit uint32) ([]api.Retired, uint32, error) {
		return m.Retired(t.Context(), offset, limit)
	})
	if len(retired) != 1 || retired[0].Package != "gone-0:1-1.noarch" || retired[0].List != "tlv-gone-0:1-1.noarch" || retired[0].Reason == "" || retired[0].When.IsZero() {
		t.Fatalf("retired are %+v", retired)
	}
	body := sha256.Sum256(daemontest.Body(t, digestlist.SHA256, map[string]string{"/opt/mine": "six"}))
	m.Own(t, "other", 0, daemontest.Body(t, digestlist.SHA256, map[string]string{"/opt/mine": "six"}))
	m.Own(t, "other", 1, daemontest.Body(t, digestlist.SHA256, map[string]string{"/opt/mine": "seven"}))
	retired = pages(t, 1, func(offset, limit uint32) ([]api.Retired, uint32, error) {
		return m.Retired(t.Context(), offset, limit)
	})
	i := slices.IndexFunc(retired, func(r api.Retired) bool { return r.Package == "own:other-0:1-1.noarch" })
	if len(retired) != 2 || i < 0 || retired[i].Entry != "bin:"+hex.EncodeToString(body[:]) {
		t.Errorf("retired are %+v, want version 1 of the own list among them, as bin:%x", retired, body)
	}
	if !slices.IsSortedFunc(retired, func(a, b api.Retired) int { return len(a.Entry) - len(b.Entry) }) {
		t.Errorf("they are not by entry: %+v", retired)
	}
}

func TestOwns(t *testing.T) {
	m := machine(t)
	source := []api.OwnSource{{Path: "/opt"}, {RawPath: []byte("/opt/\xff")}}
	r, err := m.OwnPublish(t.Context(), api.Actor{UID: 7, PID: 8, Sender: daemontest.Root.Sender}, api.OwnRequest{Name: "app", Sources: source, Reason: "ticket 1",
		Upload: m.Upload(t, daemontest.Body(t, digestlist.SHA256, map[string]string{"/opt/app": "a", "/opt/more": "b"}))}, daemontest.Quiet)
	if err != nil {
		t.Fatal(err)
	}
	app, err := m.Query.Own(t.Context(), "app")
	if err != nil || app.List != r.List || app.State != api.StateActive || app.Version != 1 || app.Highest != 1 || app.Files != 2 || app.By.UID != 7 || app.By.PID != 8 || app.Reason != "ticket 1" {
		t.Errorf("the own list is %+v, %v", app, err)
	}
	if len(app.Sources) != 2 || app.Sources[0].Path != "/opt" || string(app.Sources[1].RawPath) != "/opt/\xff" {
		t.Errorf("it is made of %+v", app.Sources)
	}
	if _, err := m.OwnRemove(t.Context(), daemontest.Root, "mine", "", daemontest.Quiet); err != nil {
		t.Fatal(err)
	}
	all, err := m.Owns(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "app" || all[0].Sources != nil || all[1].Name != "mine" || all[1].State != api.StateRemoved {
		t.Errorf("the own lists are %+v, %v", all, err)
	}
	_, err = m.Query.Own(t.Context(), "none")
	wantCode(t, "a list that never was", err, api.NotFound)
}

// TestFloorsOfOrigins: floors from elsewhere are listed with where they come from.
func TestFloorsOfOrigins(t *testing.T) {
	m := machine(t)
	m.Enter(t, func(s *ledger.Ledger) {
		s.SetFloorsOf("policy:base", []policy.OriginFloor{
			{Package: "hello", Arch: "noarch", EVR: nevra.EVR{Version: "9", Release: "1"}, Origin: "policy:base", Strength: "signed by KEY", Reason: "old"},
			{Package: "absent", EVR: nevra.EVR{Version: "1", Release: "1"}, Origin: "policy:base"},
		})
		s.Show()
	})
	floors, err := m.Floors(t.Context())
	want := []api.Floor{{Package: "absent", EVR: "0:1-1", Origin: "policy:base"},
		{Package: "hello.noarch", EVR: "0:9-1", Origin: "policy:base", Strength: "signed by KEY", Reason: "old"}}
	if err != nil || !slices.Equal(floors, want) {
		t.Errorf("%v, %+v", err, floors)
	}
	m.Enter(t, func(s *ledger.Ledger) { s.SetFloorsOf("policy:base", nil); s.Show() })
	if floors, err := m.Floors(t.Context()); err != nil || len(floors) != 0 {
		t.Errorf("afterwards: %v, %+v", err, floors)
	}
}

func TestFloors(t *testing.T) {
	m := machine(t)
	if floors, err := m.Floors(t.Context()); err != nil || len(floors) != 0 {
		t.Fatalf("without a floor: %+v, %v", floors, err)
	}
	by := api.Actor{UID: 7, PID: 8}
	for pkg, evr := range map[string]string{"hello.noarch": "1-1", "own:mine": "2:3-4"} {
		if err := m.FloorSet(t.Context(), by, pkg, evr, "of "+pkg); err != nil {
			t.Fatal(err)
		}
	}
	floors, err := m.Floors(t.Context())
	if err != nil || len(floors) != 3 || floors[0].Package != "hello.noarch" || floors[1].Package != "own:mine" || floors[2].Package != "own:mine.noarch" {
		t.Fatalf("%+v, %v", floors, err)
	}
	if f := floors[0]; f.EVR != "0:1-1" || f.High != "0:1-1" || f.Counter == 0 || f.By == nil || *f.By != by || f.Reason != "of hello.noarch" || time.Since(f.When) > time.Hour {
		t.Errorf("of one architecture: %+v", f)
	}
	if f := floors[1]; f.EVR != "2:3-4" || f.High != "" || f.Counter != 0 || f.Reason != "of own:mine" {
		t.Errorf("of every architecture: %+v", f)
	}
	if f := floors[2]; f.EVR != "2:3-4" || f.High != "0:1-1" || f.Counter == 0 {
		t.Errorf("of the one that has it: %+v", f)
	}
}

// Order has a list under its number, whether or not it is active.
func TestOrder(t *testing.T) {
	m := machine(t)
	use := func(names ...string) (uses [][]byte) {
		for _, name := range names {
			uses = append(uses, []byte(filepath.Join(m.Config.Lists, name)))
		}
		return uses
	}
	if _, err := m.OrderSet(t.Context(), daemontest.Root, use("boot_aggregate", ownList, helloList), ""); err != nil {
		t.Fatal(err)
	}
	var state api.Order
	lists := pages(t, 1, func(offset, limit uint32) (page []api.Ordered, total uint32, err error) {
		page, total, state, err = m.Order(t.Context(), offset, limit)
		return page, total, err
	})
	want := []api.Ordered{{Sequence: 1, List: ownList, Active: true, NEVRA: "own:mine-1-1.noarch"}, {Sequence: 2, List: helloList, Active: true, NEVRA: "hello-1-1.noarch"}}
	if !slices.Equal(lists, want) || state.Numbered != 2 || state.Prefetch {
		t.Errorf("the order is %+v, %+v, want %+v", lists, state, want)
	}
	if _, err := m.Deny(t.Context(), daemontest.Root, "hello", "", "test", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	lists, _, _, err := m.Order(context.Background(), 1, 10)
	if want[1].Active = false; err != nil || !slices.Equal(lists, want[1:]) {
		t.Errorf("with the second denied, the order from there on is %+v, %v", lists, err)
	}
}

// Denials are those of the owner and of others, by their IDs.
func TestDenials(t *testing.T) {
	m := machine(t)
	for _, what := range []string{"hello", "absent", "stranger<2"} {
		if _, err := m.Deny(t.Context(), daemontest.Root, what, "", "of "+what, "T-1", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	all := pages(t, 2, func(offset, limit uint32) ([]api.Denial, uint32, error) { return m.Denials(t.Context(), offset, limit) })
	if len(all) != 3 || !slices.IsSortedFunc(all, func(a, b api.Denial) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	}) {
		t.Fatalf("denied are %+v", all)
	}
	for _, d := range all {
		lists := map[string]int{"hello": 1}[d.Package] // stranger's is withheld by its signature
		if d.Reason != "of "+d.What || d.Ticket != "T-1" || d.By != "root" || d.Foreign || d.Lists != lists {
			t.Errorf("%+v, want %d lists", d, lists)
		}
	}
	if past, total, err := m.Denials(t.Context(), 3, 10); err != nil || len(past) != 0 || total != 3 {
		t.Errorf("past the end: %v, %d, %v", past, total, err)
	}
}
