// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store"
)

// digests of contents that no package has.
var (
	digestA = "sha256:" + strings.Repeat("a1", 32)
	digestB = "sha512:" + strings.Repeat("b2", 64)
)

// files are the paths that an active list has, nil if it is not active.
func files(t *testing.T, m *daemontest.Machine, list string) (paths []string) {
	t.Helper()
	page, _, err := m.Files(t.Context(), list, 0, 100)
	if daemontest.Code(err) == api.NotFound {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range page {
		paths = append(paths, f.Path)
	}
	return paths
}

// deny denies something for a reason.
func deny(t *testing.T, m *daemontest.Machine, what, reason string) api.Denial {
	t.Helper()
	d, err := m.Deny(t.Context(), by, what, "", reason, "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A denied content is in no list once the denial is answered, nor after a restart, and returns
// when the denial is lifted.
func TestDeny(t *testing.T) {
	for name, test := range map[string]struct {
		what  string
		hello []string // of its files are left
		other []string
		lists int
	}{
		"a content":                {digest("two"), []string{"/usr/bin/hello"}, []string{"/usr/bin/other"}, 1},
		"all of a list":            {digest("three"), []string{"/usr/bin/hello", "/usr/bin/hi"}, nil, 1},
		"a package":                {"hello", nil, []string{"/usr/bin/other"}, 1},
		"a package of one kind":    {"hello.noarch", nil, []string{"/usr/bin/other"}, 1},
		"one version":              {"hello-1-1.noarch", nil, []string{"/usr/bin/other"}, 1},
		"versions below":           {"hello<2", nil, []string{"/usr/bin/other"}, 1},
		"versions below this one":  {"hello<1-1", []string{"/usr/bin/hello", "/usr/bin/hi"}, []string{"/usr/bin/other"}, 0},
		"what was never seen here": {"absent", []string{"/usr/bin/hello", "/usr/bin/hi"}, []string{"/usr/bin/other"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			var told daemontest.Heard
			if err := m.Observe(t.Context(), &told); err != nil {
				t.Fatal(err)
			}
			expires := time.Now().Add(time.Hour).UTC()
			d, err := m.Deny(t.Context(), by, test.what, "/usr/bin/x", "why", "T-1", expires)
			if err != nil || d.Reason != "why" || d.Ticket != "T-1" || d.Path != "/usr/bin/x" || d.UID != by.UID || d.Lists != test.lists || !d.Expires.Equal(expires) {
				t.Fatalf("%+v, %v", d, err)
			}
			if !slices.Contains(told, "denied "+d.ID) {
				t.Errorf("told are %v", told)
			}
			for _, when := range []string{"at once", "after a restart"} {
				if hello, other := files(t, m, helloList), files(t, m, otherList); !slices.Equal(hello, test.hello) || !slices.Equal(other, test.other) {
					t.Errorf("%s the lists have %v and %v", when, hello, other)
				}
				m.Stop()
				m.Start(t)
			}
			if got := log(t, m, "denied"); len(got) != 1 || !strings.HasSuffix(got[0], "why 7") {
				t.Errorf("the log has %v", got)
			}
			was, err := m.DenialLift(t.Context(), by, d.ID, "enough")
			if err != nil || was.ID != d.ID || was.What != d.What {
				t.Errorf("lifted is %+v, %v", was, err)
			}
			if _, wanted := m.Wants(); !wanted {
				t.Error("nobody brings back what was denied")
			}
			m.Sync(t)
			if hello, other := files(t, m, helloList), files(t, m, otherList); len(hello) != 2 || len(other) != 1 {
				t.Errorf("lifted, the lists have %v and %v", hello, other)
			}
		})
	}
}

func TestDenyRefuses(t *testing.T) {
	m := machine(t)
	deny(t, m, "hello", "why")
	memory := m.Memory(t)
	for name, test := range map[string]struct {
		what, reason, ticket string
		expires              time.Time
		code                 api.Code
		says                 string
	}{
		"nothing":           {"", "r", "", time.Time{}, api.InvalidArgument, ""},
		"every empty file":  {digest(""), "r", "", time.Time{}, api.InvalidArgument, "every empty file"},
		"a weak digest":     {"sha1:" + strings.Repeat("a", 40), "r", "", time.Time{}, api.InvalidArgument, "sha256"},
		"half a digest":     {"sha256:abcd", "r", "", time.Time{}, api.InvalidArgument, "64 hexadecimal digits"},
		"a key of rpm":      {"gpg-pubkey", "r", "", time.Time{}, api.InvalidArgument, "gpg-pubkey"},
		"too long a ticket": {"other", "r", strings.Repeat("t", policy.MaxTicket+1), time.Time{}, api.InvalidArgument, "ticket"},
		"too long a reason": {"other", strings.Repeat("r", 1<<20), "", time.Time{}, api.InvalidArgument, "reason"},
		"until yesterday":   {"other", "r", "", time.Now().Add(-time.Second), api.InvalidArgument, "is in the past"},
		"until the end":     {"other", "r", "", time.UnixMicro(1 << 62), api.InvalidArgument, "too far in the future"},
		"the same again":    {"hello", "why", "", time.Time{}, api.Unchanged, "denied already"},
	} {
		_, err := m.Deny(t.Context(), by, test.what, "", test.reason, test.ticket, test.expires)
		wantCode(t, name, err, test.code, test.says)
	}
	if got := m.Memory(t); got != memory {
		t.Errorf("memory is\n%s\nand was\n%s", got, memory)
	}
	m.Install(t, version(t, "hello", "2:1-1"))
	m.Sync(t)
	_, err := m.Deny(t.Context(), by, "hello<1", "", "r", "", time.Time{})
	wantCode(t, "a version of two epochs", err, api.InvalidArgument, "several epochs")
}

// A word about what is denied already is a new one about the same, also when it turns out
// that two were about one content.
func TestDenyAgain(t *testing.T) {
	m := daemontest.New(t)
	first, second := deny(t, m, digestA, "one"), deny(t, m, digestB, "two")
	if first.ID == second.ID {
		t.Fatal("two contents have one ID")
	}
	end := time.Now().Add(time.Hour).UTC()
	both, err := m.Deny(t.Context(), by, digestA+","+digestB, "", "three", "", end)
	if err != nil {
		t.Fatal(err)
	}
	list, total, err := m.Denials(t.Context(), 0, 10)
	if err != nil || total != 1 || list[0].ID != both.ID || len(list[0].Digests) != 2 || list[0].Reason != "three" || !list[0].Expires.Equal(end) || list[0].By != "uid 7" {
		t.Errorf("%+v, %v", list, err)
	}
	if lifted, err := m.DenialLift(t.Context(), by, digestB, "enough"); err != nil || lifted.ID != both.ID {
		t.Errorf("%+v, %v", lifted, err)
	}
	if _, total, _ := m.Denials(t.Context(), 0, 10); total != 0 {
		t.Errorf("%d are left", total)
	}
}

// A denial is lifted by any name that it has, if that is of one only and was said here.
func TestDenialLift(t *testing.T) {
	m := machine(t)
	for name, lift := range map[string]func(d api.Denial) string{
		"its ID":       func(d api.Denial) string { return d.ID },
		"its path":     func(d api.Denial) string { return d.Path },
		"its digest":   func(api.Denial) string { return digest("two") },
		"its subject":  func(d api.Denial) string { return d.What },
		"plain digits": func(api.Denial) string { return strings.TrimPrefix(digest("two"), "sha256:") },
	} {
		d, err := m.Deny(t.Context(), by, digest("two"), "/usr/bin/hi", "why", "", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if was, err := m.DenialLift(t.Context(), by, lift(d), "enough"); err != nil || was.ID != d.ID {
			t.Errorf("by %s: %+v, %v", name, was, err)
		}
	}
	for _, what := range []string{"hello", "d-0123456789", "/usr/bin/hi", digest("two"), ""} {
		_, err := m.DenialLift(t.Context(), by, what, "")
		wantCode(t, what, err, api.NotFound, "not denied here")
	}
	for _, content := range []string{"one", "two"} {
		if _, err := m.Deny(t.Context(), by, digest(content), "/usr/bin/hi", "why", "", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := m.DenialLift(t.Context(), by, "/usr/bin/hi", "")
	wantCode(t, "a path of two", err, api.InvalidArgument, "denied more than once")
	sum := sha256.Sum256([]byte("three"))
	if err := m.Denier.SetOthers(t.Context(), "the kernel", []policy.Denial{{Contents: []policy.Content{{Algo: digestlist.SHA256, Digest: string(sum[:])}}}}); err != nil {
		t.Fatal(err)
	}
	denials, _, err := m.Denials(t.Context(), 0, 10)
	i := slices.IndexFunc(denials, func(d api.Denial) bool { return d.Foreign })
	if err != nil || i < 0 {
		t.Fatalf("%+v, %v", denials, err)
	}
	_, err = m.DenialLift(t.Context(), by, denials[i].ID, "")
	wantCode(t, "another's", err, api.InvalidArgument, "but by the kernel")
	_, err = m.DenialLift(t.Context(), by, digest("one"), strings.Repeat("r", 1<<20))
	wantCode(t, "too long a reason", err, api.InvalidArgument, "reason")
}

// document is one of denials, as they are exported.
func document(denials ...string) []byte {
	return []byte(`{"format":"digestd-denials","version":1,"denials":[` + strings.Join(denials, ",") + `]}`)
}

// A document is taken over as a whole; a dry run says the same and does nothing.
func TestDenialsImport(t *testing.T) {
	m := machine(t)
	deny(t, m, "other", "said before")
	doc := document(
		`{"digests":["`+digest("two")+`"],"reason":"bad","ticket":"T-2"}`,
		`{"package":"hello","below":"1-1","reason":"old"}`,
		`{"package":"other","reason":"said before"}`,
		`{"package":"gone","reason":"over","expires":"2020-01-01T00:00:00Z"}`)
	memory := m.Memory(t)
	plan, err := m.DenialsImport(t.Context(), by, doc, true)
	if err != nil || !plan.DryRun || plan.Added != 2 || plan.Merged+plan.Same != 1 || plan.Expired != 1 || plan.Lists != 1 || len(plan.Changes) != 4 {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	if got := m.Memory(t); got != memory {
		t.Errorf("after a dry run memory is\n%s\nand was\n%s", got, memory)
	}
	done, err := m.DenialsImport(t.Context(), by, doc, false)
	if err != nil || done.DryRun || done.Added != plan.Added || done.Merged != plan.Merged || done.Same != plan.Same || done.Expired != plan.Expired || done.Lists != plan.Lists {
		t.Errorf("done is %+v, %v; planned was %+v", done, err, plan)
	}
	if got := files(t, m, helloList); !slices.Equal(got, []string{"/usr/bin/hello"}) {
		t.Errorf("the list has %v", got)
	}
	again, err := m.DenialsImport(t.Context(), by, doc, false)
	if err != nil || again.Added != 0 || again.Lists != 0 {
		t.Errorf("again it is %+v, %v", again, err)
	}
	before := m.Durable(t)
	for name, doc := range map[string][]byte{"no document": []byte("[]"), "half a document": document(`{"package":"a","reason":"r"}`, `{"package":"b"}`)} {
		for _, dry := range []bool{true, false} {
			_, err := m.DenialsImport(t.Context(), by, doc, dry)
			wantCode(t, name, err, api.InvalidArgument, "cannot read the document of denials")
		}
	}
	if got := m.Durable(t); got != before {
		t.Errorf("what was refused left\n%s\nof\n%s", got, before)
	}
}

// A document of many denials takes one step, and does not push everything else out of the
// log.
func TestImportMany(t *testing.T) {
	m := daemontest.New(t)
	var many []string
	for i := range api.MaxDenials {
		many = append(many, fmt.Sprintf(`{"package":"p%d","reason":"r"}`, i))
	}
	index := m.Index.(*store.Index)
	commits := index.Commits()
	r, err := m.DenialsImport(t.Context(), by, document(many...), false)
	if err != nil || r.Added != api.MaxDenials || len(r.Changes) != api.MaxPage {
		t.Fatalf("%d added, %d shown, %v", r.Added, len(r.Changes), err)
	}
	if n := index.Commits() - commits; n != 1 {
		t.Errorf("it took %d commits", n)
	}
	if n := len(m.Events(t)); n > 300 {
		t.Errorf("%d entries in the log", n)
	}
	_, err = m.Deny(t.Context(), by, "one-more", "", "r", "", time.Time{})
	wantCode(t, "one more than may be", err, api.Failed, "the limit of")
	deny(t, m, "p7", "another reason")
}
