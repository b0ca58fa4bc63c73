// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/needs"
)

// dialled is a client of a world whose daemon is there.
func dialled(t *testing.T) (*ctltest.World, *client.Client) {
	t.Helper()
	w := ctltest.NewWorld(t)
	w.Start()
	c, err := client.Dial(t.Context(), w.Bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return w, c
}

// A list that takes several pieces arrives as it is.
func TestUpload(t *testing.T) {
	needs.Root(t)
	_, c := dialled(t)
	entries := make([]digestlist.Entry, 0, 3*api.MaxUpload/40)
	for i := range cap(entries) {
		entries = append(entries, digestlist.Entry{Path: "/opt/" + string(rune('a'+i%26)), Digest: bytes.Repeat([]byte{byte(i)}, 32)})
	}
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: entries}})
	if err != nil || len(body) <= 2*api.MaxUpload {
		t.Fatalf("a list of %d bytes, %v", len(body), err)
	}
	id, err := c.Upload(t.Context(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	stages := 0
	r, err := c.OwnPublish(t.Context(), api.OwnRequest{Upload: id, Name: "large", Sources: []api.OwnSource{{Path: "/opt"}}}, func(string, uint64, uint64) { stages++ })
	if err != nil || r.Files != len(entries) || stages == 0 {
		t.Errorf("%+v after %d reports of progress, %v", r, stages, err)
	}
	if id, err := c.Upload(t.Context(), bytes.NewReader(nil)); err != nil || id != 0 {
		t.Errorf("nothing was uploaded as %d, %v", id, err)
	}
	if _, err := c.Upload(t.Context(), torn{}); !errors.Is(err, errTorn) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

var errTorn = errors.New("torn")

type torn struct{}

func (torn) ReadAt([]byte, int64) (int, error) { return 0, errTorn }

// A client that stops waiting cancels the job, and a daemon that leaves ends the wait.
func TestJobsEnd(t *testing.T) {
	needs.Root(t)
	w, c := dialled(t)
	w.Daemon.Vary("busy")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Sync(ctx, func(string, uint64, uint64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted job: %v", err)
	}
	if !w.Daemon.Cancelled(10 * time.Second) {
		t.Error("the job goes on")
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Sync(t.Context(), func(string, uint64, uint64) {})
		ended <- err
	}()
	if !w.Daemon.Syncing(10 * time.Second) {
		t.Fatal("no job began")
	}
	w.Stop()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a job whose daemon left ended well")
		}
	case <-time.After(time.Minute):
		t.Error("the wait for a daemon that left has no end")
	}
	var unreachable *client.Unreachable
	if _, err := c.Status(t.Context()); !errors.As(err, &unreachable) || unreachable.Bus != "" {
		t.Errorf("nobody is there: %v", err)
	}
}

// Root has digestd look; what is no text travels as bytes.
func TestAsk(t *testing.T) {
	needs.Root(t)
	_, c := dialled(t)
	for path, want := range map[string]string{"/x/good": api.VerdictVouched, "/x/caf\xe9": api.VerdictVouched, "/x/unknown": api.VerdictUnknown} {
		if w, err := c.Ask(t.Context(), path); err != nil || w.Verdict != want {
			t.Errorf("%q: %+v, %v, want %s", path, w, err, want)
		}
	}
}

// Another user's digestctl reads the file itself, and passes on what it saw.
func TestAskContent(t *testing.T) {
	_, c := dialled(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(file, []byte("content"), 0o644), os.Symlink(file, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file: api.VerdictVouched, filepath.Join(dir, "link"): api.VerdictVouched, filepath.Join(dir, "absent"): api.VerdictMissing,
		dir: api.VerdictNotRegular, "/proc/version": api.VerdictNotRegular,
	} {
		if w, err := client.AskContent(c, t.Context(), path); err != nil || w.Verdict != want || w.Path != path {
			t.Errorf("%s: %+v, %v, want %s", path, w, err, want)
		}
	}
	var bad *client.Unreachable
	for _, address := range []string{"unix:path=" + filepath.Join(dir, "absent"), "unix:path=" + file, "nonsense"} {
		if _, err := client.Dial(t.Context(), address); !errors.As(err, &bad) || bad.Bus == "" {
			t.Errorf("a bus at %s: %v", address, err)
		}
	}
}

// Signals are read by the names of their values, those that nobody knows as well.
func TestSignalsAreNamed(t *testing.T) {
	w, c := dialled(t)
	s, err := c.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Server.KeyRevoked("f00d", "stolen", 3)
	w.Server.Send("OfTomorrow", api.Encode(struct {
		Inner struct{ Deep string }
	}{}), uint32(7))
	w.Daemon.Vary("degraded")
	w.Server.Changed()
	var got []client.Signal
	for len(got) < 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		signal, err := s.Next(ctx)
		cancel()
		if err != nil {
			t.Fatalf("after %+v: %v", got, err)
		}
		if signal.Kind != client.Arrived {
			got = append(got, signal)
		}
	}
	if f := got[0]; f.Kind != client.Said || f.Name != "KeyRevoked" || f.Fields["reason"] != "stolen" {
		t.Errorf("a revocation is %+v", f)
	}
	if _, plain := got[1].Fields["value0"].(map[string]any); !plain || got[1].Name != "OfTomorrow" || got[1].Fields["value1"] != uint32(7) {
		t.Errorf("a signal that nobody knows is %+v", got[1])
	}
	if f := got[2]; f.Kind != client.Changed || f.Fields["State"] != api.Degraded {
		t.Errorf("changed properties are %+v", f)
	}
	w.Stop()
	if signal, err := s.Next(t.Context()); err != nil || signal.Kind != client.Left {
		t.Errorf("its end is %+v, %v", signal, err)
	}
	w.Bus.Stop()
	if _, err := s.Next(t.Context()); err == nil {
		t.Error("signals of a bus that is gone go on")
	}
}
