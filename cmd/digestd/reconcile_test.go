// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/integration/bench/gendb"
	"golang.org/x/sys/unix"
)

// install puts a signed package into the database below root, and its key into rpm's keyring.
func (p place) install(t *testing.T, name string) {
	t.Helper()
	made, err := gendb.Make(daemontest.Package(t, name, "owner", map[string]string{"/usr/bin/" + name: name}))
	if err != nil {
		t.Fatal(err)
	}
	err = p.db.Replace(func(add func(name string, blob []byte)) error {
		key, err := gendb.PublicKey(daemontest.Key(t, "owner"))
		add(name, made.Blob)
		add("gpg-pubkey", key)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lists are the names of the files in a directory, sorted.
func (p place) lists(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(p.path(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestReconcile: one comparison brings the lists in step with the packages, and a second finds
// nothing to do.
func TestReconcile(t *testing.T) {
	p := newPlace(t)
	p.install(t, "tool")
	for range 2 {
		if err := reconcile(t.Context(), p.config, "/", "", false); err != nil {
			t.Fatal(err)
		}
		if got := p.lists(t, "lists"); !slices.Equal(got, []string{"tlv-tool-0:1-1.noarch"}) {
			t.Errorf("the lists are %q", got)
		}
	}
	if c, err := os.Stat(p.path("run")); err == nil {
		t.Errorf("it makes a directory for a socket: %v", c)
	}
	for _, name := range []string{"lists", "state"} {
		if err := os.RemoveAll(p.path(name)); err != nil {
			t.Fatal(err)
		}
		write(t, p.path(name), "no directory")
		if err := reconcile(t.Context(), p.config, "/", "", false); err == nil || !strings.Contains(err.Error(), p.path(name)) {
			t.Errorf("a file for the directory %s: %v", name, err)
		}
		if err := os.Remove(p.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, p.path("root/rpm/rpmdb.sqlite"), "no database")
	if err := reconcile(t.Context(), p.config, "/", "", false); err == nil {
		t.Error("a damaged database is compared with")
	}
	p.configure(t, "modus = \"enforce\"\n")
	if err := reconcile(t.Context(), p.config, "/", "", false); err == nil {
		t.Error("a wrong configuration is used")
	}
}

// TestReport: a comparison that left packages without a list ends with an error.
func TestReport(t *testing.T) {
	if err := report("/", api.SyncResult{Installed: 2, Published: 2}); err != nil {
		t.Error(err)
	}
	if err := report("/", api.SyncResult{Installed: 2, Published: 1, Failed: 1}); err == nil || !strings.HasPrefix(err.Error(), "1 packages") {
		t.Error(err)
	}
}

// TestImageBuild: an image gets the lists of its packages, signed by the builder's key, in the
// place of former ones. Nothing else of digestd's stays in it: neither a key nor an index.
func TestImageBuild(t *testing.T) {
	p := newPlace(t)
	p.install(t, "tool")
	write(t, p.path("image/lists/tlv-former-0:1-1.noarch"), "former")
	log := slog.New(slog.DiscardHandler)
	signs, err := imageKey(t.Context(), p.path("keys"), log)
	if err != nil {
		t.Fatal(err)
	}
	defer signs.Key.Close()
	again, err := imageKey(t.Context(), p.path("keys"), log)
	if err != nil || !again.Cert.Equal(signs.Cert) {
		t.Errorf("the builder gets another key: %v", err)
	}
	again.Key.Close()
	c, err := config.Load(p.config)
	if err != nil {
		t.Fatal(err)
	}
	// What digestd did not make keeps it from removing anything.
	stranger := p.path("image/lists/notes.txt")
	write(t, stranger, "somebody's")
	if err := imageBuild(t.Context(), c, p.dir, signs, log); err == nil || !strings.Contains(err.Error(), `"notes.txt" in `+c.ImageLists+" is not a list") {
		t.Errorf("beside a file of somebody else: %v", err)
	}
	if got := p.lists(t, "image/lists"); !slices.Equal(got, []string{"notes.txt", "tlv-former-0:1-1.noarch"}) {
		t.Errorf("of what was there, there is %q", got)
	}
	if err := os.Remove(stranger); err != nil {
		t.Fatal(err)
	}
	if err := imageBuild(t.Context(), c, p.dir, signs, log); err != nil {
		t.Fatal(err)
	}
	if got := p.lists(t, "image/lists"); !slices.Equal(got, []string{"tlv-tool-0:1-1.noarch"}) {
		t.Errorf("the image has %q", got)
	}
	if got := p.lists(t, "image"); !slices.Equal(got, []string{"lists"}) {
		t.Errorf("beside its lists the image has %q", got)
	}
	if _, err := os.Stat(c.State); err == nil {
		t.Error("the image has a state directory")
	}
	if err := reconcile(t.Context(), p.config, "/", p.path("keys"), false); err != nil {
		t.Fatal(err)
	}
	if got := p.lists(t, "image/lists"); !slices.Equal(got, []string{"tlv-tool-0:1-1.noarch"}) {
		t.Errorf("built again, the image has %q", got)
	}
	p.configure(t, "mode = \"sometimes\"\n")
	if err := reconcile(t.Context(), p.config, "/", p.path("keys"), false); err == nil {
		t.Error("an image is built by a wrong configuration")
	}
	write(t, p.path("nokeys"), "")
	if err := reconcile(t.Context(), p.config, "/", p.path("nokeys"), false); err == nil {
		t.Error("an image is built without a directory for its key")
	}
	c.ImageLists = ""
	if err := imageBuild(t.Context(), c, p.dir, signs, log); err == nil || !strings.Contains(err.Error(), "image-lists") {
		t.Errorf("without a place for lists: %v", err)
	}
}

// TestCheckImage: a state directory is used only if all of it is the caller's alone, and reading
// it does nothing else.
func TestCheckImage(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(state string) error
		says  string
	}{
		"as digestd leaves it": {func(string) error { return nil }, ""},
		"a FIFO":               {func(state string) error { return unix.Mkfifo(filepath.Join(state, "fifo"), 0o600) }, "neither"},
		"a link within":        {func(state string) error { return os.Symlink("/etc/passwd", filepath.Join(state, "link")) }, "neither"},
		"another name":         {func(state string) error { return os.Link(filepath.Join(state, "index"), state+".other") }, "another name"},
		"others can write":     {func(state string) error { return os.Chmod(filepath.Join(state, "index"), 0o666) }, "changed by others"},
		"no directory yet":     {os.RemoveAll, ""},
		"a link that leads there": {func(state string) error {
			if err := os.Rename(state, state+".real"); err != nil {
				return err
			}
			return os.Symlink(state+".real", state)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "state")
			write(t, filepath.Join(state, "index"), "")
			if err := test.spoil(state); err != nil {
				t.Fatal(err)
			}
			c := config.Default()
			c.State = state
			err := checkImage(&c)
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
	c := config.Default()
	c.SigningKey = "tpm:"
	if err := checkImage(&c); err != errForeignKey {
		t.Errorf("a key in a TPM: %v", err)
	}
}

// TestLogger: the journal stamps the time itself, and others do not.
func TestLogger(t *testing.T) {
	for _, stream := range []string{"", "8:1"} {
		t.Setenv("JOURNAL_STREAM", stream)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr := os.Stderr
		os.Stderr = w
		logger(false).Debug("not this")
		logger(true).Debug("this")
		os.Stderr = stderr
		w.Close()
		said := make([]byte, 1000)
		n, _ := r.Read(said)
		r.Close()
		line := string(said[:n])
		if strings.Contains(line, "not this") || !strings.Contains(line, "msg=this") || strings.Contains(line, "time=") != (stream == "") {
			t.Errorf("JOURNAL_STREAM=%q: %q", stream, line)
		}
	}
}
