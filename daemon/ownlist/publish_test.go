// SPDX-License-Identifier: Apache-2.0

package ownlist_test

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
)

const list = "tlv-own-app"

// body is that of a list of files, by their path and content.
func body(t *testing.T, files map[string]string) []byte {
	t.Helper()
	return daemontest.Body(t, digestlist.SHA256, files)
}

// app is the body of a list of one file with this content.
func app(t *testing.T, content string) []byte {
	t.Helper()
	return body(t, map[string]string{"/opt/app": content})
}

// publish sends a body and asks for it to be published.
func publish(t *testing.T, m *daemontest.Machine, req api.OwnRequest, data []byte) (api.OwnResult, error) {
	t.Helper()
	req.Upload = m.Upload(t, data)
	return m.OwnPublish(t.Context(), daemontest.Root, req, daemontest.Quiet)
}

// bodies are the files that keep own lists as they were made.
func bodies(t *testing.T, m *daemontest.Machine) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(m.Config.State, ledger.OwnDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// own is what is known of an own list.
func own(t *testing.T, m *daemontest.Machine, name string) api.Own {
	t.Helper()
	o, err := m.Query.Own(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// signedBody is the body of a list in the directory, whose signature by this machine's key
// is good.
func signedBody(t *testing.T, m *daemontest.Machine, list string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(m.Config.Lists, list))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := identity.ReadCertificate(m.Status().Certificate.Path)
	if err != nil {
		t.Fatal(err)
	}
	signed, sig, kind, err := digestlist.SplitSignature(data)
	if err != nil || kind != digestlist.SigPKCS7 {
		t.Fatalf("%s has a signature of kind %d (%v)", list, kind, err)
	}
	if _, err := digestlist.VerifyPKCS7(signed, sig, []*x509.Certificate{cert}); err != nil {
		t.Errorf("%s: %v", list, err)
	}
	return signed
}

// A list that is published is in the directory, signed, and on disk when it is answered:
// each change has a higher version, and the content before it stays out.
func TestPublish(t *testing.T) {
	m := daemontest.New(t)
	one, two := app(t, "one"), app(t, "two")
	var stages []string
	r, err := m.OwnPublish(t.Context(), daemontest.Root, api.OwnRequest{Name: "app", Upload: m.Upload(t, one), Reason: "first"},
		func(stage string, _, _ int) { stages = append(stages, stage) })
	if err != nil || r.Name != "app" || r.List != list || r.Version != 1 || r.Files != 1 || r.Replaced != 0 || r.Unchanged || r.Duration <= 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if want := []string{"checking", "signing", "publishing"}; !slices.Equal(stages, want) {
		t.Errorf("the stages are %v, want %v", stages, want)
	}
	if got := signedBody(t, m, list); string(got) != string(one) {
		t.Error("the directory has another list than was sent")
	}
	r, err = publish(t, m, api.OwnRequest{Name: "app", Base: 1, Reason: "second"}, two)
	if err != nil || r.Version != 2 || r.Replaced != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	m.Stop()
	m.Start(t)
	if o := own(t, m, "app"); o.Version != 2 || o.State != api.StateActive || o.Reason != "second" || o.Digest != fmt.Sprintf("%x", sha256.Sum256(two)) {
		t.Errorf("after a restart it is %+v", o)
	}
	if got := signedBody(t, m, list); string(got) != string(two) {
		t.Error("the directory has another list than was sent last")
	}
	if got := bodies(t, m); !slices.Equal(got, []string{"app.2"}) {
		t.Errorf("the bodies kept are %v", got)
	}
	var log []string
	for _, e := range m.Events(t, "published") {
		log = append(log, e.Package)
	}
	if want := []string{"own:app-0:1-1.noarch", "own:app-0:2-1.noarch"}; !slices.Equal(log, want) {
		t.Errorf("the log has %v, want %v", log, want)
	}

	// A replaced content does not come back under any name until it is granted.
	for _, req := range []api.OwnRequest{{Name: "app", Base: 2}, {Name: "elsewhere"}} {
		if _, err := publish(t, m, req, one); daemontest.Code(err) != api.Failed || !strings.Contains(err.Error(), "own:app-1-1.noarch is older than 2-1") {
			t.Errorf("replaced content as %s: %v", req.Name, err)
		}
	}
	if refused := m.Events(t, "rollback-refused"); len(refused) != 2 {
		t.Errorf("the log has %+v", refused)
	}
	if _, err := m.RollbackGrant(t.Context(), daemontest.Root, "own:app-1-1.noarch", "why"); err != nil {
		t.Fatal(err)
	}
	if r, err := publish(t, m, api.OwnRequest{Name: "app", Base: 2}, one); err != nil || r.Version != 1 {
		t.Fatalf("granted: %+v, %v", r, err)
	}
	if o := own(t, m, "app"); !o.Granted || o.Version != 1 || o.Highest != 2 {
		t.Errorf("granted: %+v", o)
	}
	if r, err := publish(t, m, api.OwnRequest{Name: "app", Base: 1}, app(t, "three")); err != nil || r.Version != 3 {
		t.Errorf("after that: %+v, %v", r, err)
	}
}

// A list that is so already gets no new version; what it is made of is taken over.
func TestPublishUnchanged(t *testing.T) {
	m := daemontest.New(t)
	m.Own(t, "app", 0, app(t, "one"))
	before, err := os.Stat(filepath.Join(m.Config.Lists, list))
	if err != nil {
		t.Fatal(err)
	}
	r, err := publish(t, m, api.OwnRequest{Name: "app", Base: 1, Listed: true, Sources: []api.OwnSource{{Path: "/opt"}}, Reason: "again"}, app(t, "one"))
	if err != nil || !r.Unchanged || r.Version != 1 || r.Files != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if o := own(t, m, "app"); len(o.Sources) != 1 || o.Sources[0].Path != "/opt" || !o.Listed || o.Reason != "again" {
		t.Errorf("it is %+v", o)
	}
	if after, err := os.Stat(filepath.Join(m.Config.Lists, list)); err != nil || !os.SameFile(before, after) {
		t.Errorf("its file was written anew, %v", err)
	}
	if got := bodies(t, m); !slices.Equal(got, []string{"app.1"}) {
		t.Errorf("the bodies kept are %v", got)
	}
}

// An unusable list is refused, and leaves nothing behind.
func TestPublishRefuses(t *testing.T) {
	m := daemontest.New(t)
	m.Own(t, "there", 0, app(t, "there"))
	if _, err := m.Deny(t.Context(), daemontest.Root, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("evil"))), "", "why", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	weak, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA224, Entries: []digestlist.Entry{{Digest: make([]byte, 28), Path: "/opt/app"}}}})
	if err != nil {
		t.Fatal(err)
	}
	memory, durable, names := m.Memory(t), m.Durable(t), m.Names(t)
	for name, test := range map[string]struct {
		req  api.OwnRequest
		body []byte
		code api.Code
		says string
	}{
		"a bad name":         {api.OwnRequest{Name: "a/b"}, app(t, "one"), api.InvalidArgument, "a/b"},
		"no name":            {api.OwnRequest{}, app(t, "one"), api.InvalidArgument, "name"},
		"an empty list":      {api.OwnRequest{Name: "app"}, nil, api.InvalidArgument, "empty"},
		"no list":            {api.OwnRequest{Name: "app"}, []byte("garbage"), api.InvalidArgument, "cannot use the list"},
		"a relative path":    {api.OwnRequest{Name: "app"}, body(t, map[string]string{"opt/app": "x"}), api.InvalidArgument, `"opt/app"`},
		"an unclean path":    {api.OwnRequest{Name: "app"}, body(t, map[string]string{"/opt/../app": "x"}), api.InvalidArgument, "absolute"},
		"a short digest":     {api.OwnRequest{Name: "app"}, weak, api.InvalidArgument, "sha224"},
		"denied content":     {api.OwnRequest{Name: "app"}, app(t, "evil"), api.InvalidArgument, "everything in the list is denied"},
		"a name in use":      {api.OwnRequest{Name: "there"}, app(t, "one"), api.Busy, "exists already"},
		"an outdated base":   {api.OwnRequest{Name: "there", Base: 7}, app(t, "one"), api.Busy, "was changed meanwhile"},
		"of what is gone":    {api.OwnRequest{Name: "app", Base: 1}, app(t, "one"), api.Busy, "is gone"},
		"a list not signed":  {api.OwnRequest{Name: "app", Import: true}, app(t, "one"), api.InvalidArgument, "it is not signed"},
		"too long a reason":  {api.OwnRequest{Name: "app", Reason: strings.Repeat("x", 1<<20)}, app(t, "one"), api.InvalidArgument, "reason"},
		"an unlisted upload": {api.OwnRequest{Name: "app", Upload: 999}, nil, api.NotFound, "no upload 999"},
	} {
		req := test.req
		if req.Upload == 0 {
			req.Upload = m.Upload(t, test.body)
		}
		_, err := m.OwnPublish(t.Context(), daemontest.Root, req, daemontest.Quiet)
		if daemontest.Code(err) != test.code || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %s: %s", name, err, test.code, test.says)
		}
	}
	if got := m.Memory(t); got != memory {
		t.Errorf("memory is\n%s\nand was\n%s", got, memory)
	}
	if got := m.Durable(t); got != durable {
		t.Errorf("the index has\n%s\nand had\n%s", got, durable)
	}
	if got, kept := m.Names(t), bodies(t, m); !slices.Equal(got, names) || !slices.Equal(kept, []string{"there.1"}) {
		t.Errorf("the directory has %v, and the bodies kept are %v", got, kept)
	}
}

// A list leaves denied contents out; the list as it was made is kept, and is whole again when
// nothing is denied any more.
func TestPublishWithoutWhatIsDenied(t *testing.T) {
	m := daemontest.New(t)
	denied, err := m.Deny(t.Context(), daemontest.Root, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("evil"))), "", "why", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	whole := body(t, map[string]string{"/opt/app": "good", "/opt/bad": "evil"})
	r := m.Own(t, "app", 0, whole)
	if r.Files != 1 || r.Left != 1 {
		t.Errorf("%+v", r)
	}
	if got := signedBody(t, m, list); string(got) != string(app(t, "good")) {
		t.Error("the directory has another list")
	}
	if _, err := m.DenialLift(t.Context(), daemontest.Root, denied.ID, ""); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	if got := signedBody(t, m, list); string(got) != string(whole) {
		t.Error("with the denial lifted, the directory has another list than was sent")
	}
}

// A removed list is gone from the directory, its files too; its version numbers continue.
func TestRemove(t *testing.T) {
	m := daemontest.New(t)
	m.Own(t, "app", 0, app(t, "one"))
	r, err := m.OwnRemove(t.Context(), daemontest.Root, "app", "done with it", daemontest.Quiet)
	if err != nil || r.List != list || r.Version != 1 || r.Files != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if names, kept := m.Names(t), bodies(t, m); len(names) > 0 || len(kept) > 0 {
		t.Errorf("left are %v and %v", names, kept)
	}
	m.Stop()
	m.Start(t)
	if o := own(t, m, "app"); o.State != api.StateRemoved || o.Reason != "done with it" || o.Files != 0 {
		t.Errorf("after a restart it is %+v", o)
	}
	for _, name := range []string{"app", "never", ""} {
		if _, err := m.OwnRemove(t.Context(), daemontest.Root, name, "", daemontest.Quiet); daemontest.Code(err) != api.NotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
	if r := m.Own(t, "app", 0, app(t, "one")); r.Version != 2 {
		t.Errorf("made again it is %+v", r)
	}
}
