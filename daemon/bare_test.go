// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
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
	c := &view.Candidate{Pkg: pkg, Header: sha256.Sum256([]byte(name)), Made: view.Made{Files: len(g.Entries)}, Basis: d.Snapshot().Basis}
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

// stopCommits lets no commit be written until the function that it returns is called.
func (d *Daemon) stopCommits(t *testing.T) (let func()) {
	t.Helper()
	obstacle := filepath.Join(d.Config.State, "index.commit.new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(obstacle); err != nil {
			t.Fatal(err)
		}
	}
}

// serve starts a daemon for a configuration and returns what ends it.
func serve(t *testing.T, c config.Config) (*Daemon, func()) {
	t.Helper()
	d, err := New(c, slog.New(slog.DiscardHandler), func(...string) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go d.Exec.Run(ctx)
	return d, func() {
		cancel()
		<-d.Exec.Closed
		d.Close()
	}
}

func testConfig(t *testing.T) config.Config {
	dir := t.TempDir()
	c := config.Default()
	c.Root, c.State, c.Lists = dir, filepath.Join(dir, "state"), filepath.Join(dir, "lists")
	c.Unsigned = "allow" // nobody signs the packages of these tests
	c.Keys, c.Revoked, c.Blacklist = filepath.Join(dir, "keys"), filepath.Join(dir, "revoked"), filepath.Join(dir, "blacklist")
	c.Policy = filepath.Join(dir, "policy")
	return c
}
