// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

// bare is a daemon that serves nobody: its state, with the goroutine that owns it.
func bare(t *testing.T) *Daemon {
	t.Helper()
	dir := t.TempDir()
	c := config.Default()
	c.Root, c.State, c.Lists = dir, filepath.Join(dir, "state"), filepath.Join(dir, "lists")
	c.Unsigned = "allow" // nobody signs the packages of these tests
	d, err := New(c, slog.New(slog.DiscardHandler), func(...string) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go d.Exec.Run(ctx)
	t.Cleanup(func() {
		cancel()
		<-d.Exec.Closed
		d.Close()
	})
	return d
}

// publish puts a list of contents into the directory, as of a package.
func (d *Daemon) publishFor(t *testing.T, name string, contents ...string) (list string) {
	t.Helper()
	g := digestlist.Group{Algo: digestlist.SHA256}
	for _, content := range contents {
		sum := sha256.Sum256([]byte(content))
		g.Entries = append(g.Entries, digestlist.Entry{Digest: sum[:], Path: "/opt/" + content})
	}
	pkg := nevra.NEVRA{Name: name, EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
	c := &view.Candidate{Pkg: pkg, Header: sha256.Sum256([]byte(name)), Made: view.Made{Files: len(contents)}, Basis: d.Snapshot().Basis}
	w := build.Workspace{Stager: d.Dir.Stager("test-" + name)}
	var err error
	if c.Name, err = digestlist.PackageName(digestlist.FormatTLV, pkg); err == nil {
		w.Body, err = digestlist.AppendTLV(nil, []digestlist.Group{g})
	}
	if err == nil {
		c.Body = sha256.Sum256(w.Body)
		c.Refs, err = executor.MakeRefs(digestlist.FormatTLV, w.Body, c.Files)
	}
	m := d.Builder.Load()
	if err == nil {
		err = m.SignList(c, &w)
	}
	if err == nil {
		err = m.Stage(c, &w)
	}
	if err == nil {
		err = d.Dir.Publish(c.Staged, c.Name, true)
	}
	if err == nil {
		err = d.on(t, func(s *ledger.Ledger) error {
			stamp, err := d.Dir.Stat(c.Name)
			s.Put(&view.Entry{Refs: c.Refs, Stamp: stamp, List: record.List{Name: c.Name, Package: pkg, Header: c.Header, Body: c.Body, File: c.File,
				Files: c.Files, State: record.Active, Signer: c.Signer, Counter: s.NextCounter(), Rules: s.Rules}})
			s.Show()
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return c.Name
}

func (d *Daemon) paths(t *testing.T, list string) (paths []string) {
	t.Helper()
	e := d.Snapshot().List(list)
	if e == nil || !e.Active() {
		return nil
	}
	if err := d.EachFile(e, func(_ digestlist.Algo, _, path []byte) error {
		paths = append(paths, string(path))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return paths
}

// One word about what is denied already is a new one about the same, also when it
// turns out that two were about one content.
func TestDenyAgain(t *testing.T) {
	d := bare(t)
	deny := func(what, reason string, expires time.Time) api.Denial {
		t.Helper()
		denial, err := d.Deny(t.Context(), api.Actor{UID: 7}, what, "", reason, "", expires)
		if err != nil {
			t.Fatal(err)
		}
		return denial
	}
	end := time.Now().Add(time.Hour).UTC()
	first, second := deny(digestA, "one", time.Time{}), deny(digestB, "two", time.Time{})
	if first.ID == second.ID {
		t.Fatal("two contents have one ID")
	}
	both := deny(digestA+","+digestB, "three", end)
	list, total, err := d.Denials(t.Context(), 0, 10)
	if err != nil || total != 1 || list[0].ID != both.ID || len(list[0].Digests) != 2 || list[0].Reason != "three" || !list[0].Expires.Equal(end) || list[0].By != "uid 7" {
		t.Errorf("%+v, %v", list, err)
	}
	if lifted, err := d.DenialLift(t.Context(), api.Actor{}, digestB, "enough"); err != nil || lifted.ID != both.ID {
		t.Errorf("%+v, %v", lifted, err)
	}
	if _, err := d.Deny(t.Context(), api.Actor{}, "bash", "", "past", "", time.Now().Add(-time.Second)); err == nil {
		t.Error("something is denied until yesterday")
	}
	if _, err := d.Deny(t.Context(), api.Actor{}, "bash", "", "long", "", time.UnixMicro(1<<62)); err == nil {
		t.Error("something is denied until a year that cannot be written down")
	}
	deny("bash", "for long", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	if _, err := d.DenialLift(t.Context(), api.Actor{}, "bash", "enough"); err != nil {
		t.Error(err)
	}
	if _, total, _ := d.Denials(t.Context(), 0, 10); total != 0 {
		t.Errorf("%d are left", total)
	}
}

// A document of many denials takes one step, and does not push everything else
// out of the log.
func TestImportMany(t *testing.T) {
	d := bare(t)
	var many []string
	for i := range api.MaxDenials {
		many = append(many, fmt.Sprintf(`{"package":"p%d","reason":"r"}`, i))
	}
	commits := d.Index.(*store.Index).Commits()
	r, err := d.DenialsImport(t.Context(), api.Actor{}, []byte(document(many...)), false)
	if err != nil || r.Added != api.MaxDenials || len(r.Changes) != api.MaxPage {
		t.Fatalf("%d added, %d shown, %v", r.Added, len(r.Changes), err)
	}
	if n := d.Index.(*store.Index).Commits() - commits; n != 1 {
		t.Errorf("it took %d commits", n)
	}
	if _, n, err := d.Index.(*store.Index).Events(0, 1); err != nil || n > 300 {
		t.Errorf("%d entries in the log, %v", n, err)
	}
	if _, err := d.Deny(t.Context(), api.Actor{}, "one-more", "", "r", "", time.Time{}); err == nil {
		t.Error("there is no bound")
	}
	if _, err := d.Deny(t.Context(), api.Actor{}, "p7", "", "another", "", time.Time{}); err != nil {
		t.Errorf("what is denied cannot be denied anew: %v", err)
	}
}
