// SPDX-License-Identifier: Apache-2.0

package ownlist_test

import (
	"os"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/integration/pkgtest"
)

// A change of an own list that cannot be recorded has not happened.
func TestFailedActHasNotHappened(t *testing.T) {
	for name, test := range map[string]struct {
		versions []string // that are there before
		act      func(t *testing.T, m *daemontest.Machine) error
	}{
		"made": {nil, func(t *testing.T, m *daemontest.Machine) error {
			_, err := publish(t, m, api.OwnRequest{Name: "app"}, app(t, "one"))
			return err
		}},
		"changed": {[]string{"one"}, func(t *testing.T, m *daemontest.Machine) error {
			_, err := publish(t, m, api.OwnRequest{Name: "app", Base: 1}, app(t, "two"))
			return err
		}},
		"described": {[]string{"one"}, func(t *testing.T, m *daemontest.Machine) error {
			_, err := publish(t, m, api.OwnRequest{Name: "app", Base: 1, Sources: []api.OwnSource{{Path: "/opt"}}}, app(t, "one"))
			return err
		}},
		"removed": {[]string{"one", "two"}, func(t *testing.T, m *daemontest.Machine) error {
			_, err := m.OwnRemove(t.Context(), daemontest.Root, "app", "why", daemontest.Quiet)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := daemontest.New(t)
			for base, content := range test.versions {
				m.Own(t, "app", uint64(base), app(t, content))
			}
			m.ActFailsWhole(t, func() error { return test.act(t, m) })
		})
	}
}

// Files are bound to their list, freed when it has them no more, and left to their package.
func TestFilesAreBound(t *testing.T) {
	needs.Root(t)
	m := daemontest.New(t, func(c *config.Config) { c.Labels = true })
	m.Install(t, daemontest.Package(t, "hello", "", map[string]string{"/usr/bin/hello": "packaged"}))
	m.Sync(t)
	for path, content := range map[string]string{"/opt/app": "one", "/opt/more": "two", "/opt/altered": "other", "/usr/bin/hello": "packaged"} {
		m.File(t, path, content)
	}
	labels := func(want map[string]string) {
		t.Helper()
		for path, list := range want {
			if got, err := pkgtest.Label(m.Path(path)); err != nil || got != list {
				t.Errorf("%s is bound to %q (%v), want %q", path, got, err, list)
			}
		}
	}
	files := map[string]string{"/opt/app": "one", "/opt/more": "two", "/opt/altered": "three", "/opt/gone": "four", "/usr/bin/hello": "packaged"}
	if r := m.Own(t, "app", 0, body(t, files)); r.Files != 5 || r.Labelled != 2 || r.Missing != 2 || r.Kept != 1 {
		t.Errorf("%+v", r)
	}
	labels(map[string]string{"/opt/app": list, "/opt/more": list, "/opt/altered": ""})
	delete(files, "/opt/more")
	m.Own(t, "app", 1, body(t, files))
	labels(map[string]string{"/opt/app": list, "/opt/more": ""})
	if r, err := m.OwnRemove(t.Context(), daemontest.Root, "app", "", daemontest.Quiet); err != nil || r.Labelled != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	labels(map[string]string{"/opt/app": ""})
}

// A list is not published where the list directory cannot take it, and a later one can be.
func TestPublishWithoutADirectory(t *testing.T) {
	m := daemontest.New(t)
	aside := m.Config.Lists + ".moved"
	if err := os.Rename(m.Config.Lists, aside); err != nil {
		t.Fatal(err)
	}
	_, err := publish(t, m, api.OwnRequest{Name: "app"}, app(t, "one"))
	if err == nil || !strings.Contains(err.Error(), m.Config.Lists) {
		t.Errorf("published: %v", err)
	}
	if kept := bodies(t, m); len(kept) > 0 {
		t.Errorf("left are %v", kept)
	}
	if err := os.Rename(aside, m.Config.Lists); err != nil {
		t.Fatal(err)
	}
	if r := m.Own(t, "app", 0, app(t, "one")); r.Version != 1 {
		t.Errorf("%+v", r)
	}
}
