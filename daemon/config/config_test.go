// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, main string, dropIns ...string) (config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "digestd.conf")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(path, main)
	for i, text := range dropIns {
		write(filepath.Join(path+".d", string(rune('a'+i))+".conf"), text)
	}
	return config.Load(path)
}

func TestDefaultsWithoutFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent")
	got, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Path = path
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDropInsWinKeyByKey(t *testing.T) {
	got, err := load(t, "mode = \"audit\"\nunsigned = \"allow\"\n", "mode = \"withhold\"\n", "lists = \"/l\"\n")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Mode, want.Unsigned, want.Lists, want.Path = "withhold", "allow", "/l", got.Path
	if filepath.Base(got.Path) != "digestd.conf" || !filepath.IsAbs(got.Path) {
		t.Errorf("it was read from %s", got.Path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`unsinged = "allow"`, `unknown key "unsinged" (did you mean "unsigned"?)`},
		{`kernel-poll = "often"`, `kernel-poll = "often": want auto, never, or a time of at least 100ms`},
		{`kernel-poll = "1us"`, `want auto, never, or a time`},
		{`blacklist = "here"`, `blacklist = "here": want an absolute path`},
		{`zzzzzzzz = 1`, `unknown key "zzzzzzzz"`},
		{`mode = "enforced"`, `mode = "enforced": want one of enforce, withhold, audit (did you mean "enforce"?)`},
		{`guard = "on"`, `guard = "on": want one of off, audit, enforce`},
		{`guard-modules = "strict"`, `guard-modules = "strict": want one of off, audit, enforce`},
		{`ima-signature-version = 1`, `ima-signature-version = 1: want 2 or 3`},
		{`ima-signature-version = 258`, `out of range`},
		{`lists = "relative"`, `want an absolute path`},
		{`sign = "pgp"`, `needs format = "rpm"`},
		{`multiversion = ["["]`, `is not a valid pattern`},
		{`signing-key = "pkcs11:token=a;object=b?pin-value=1234"`, `signing-key: cannot read PKCS#11 URI: pin-value is not accepted`},
		{`deployment-rollback = "refused"`, `deployment-rollback = "refused": want one of report, refuse (did you mean "refuse"?)`},
		{`mode = 3`, `incompatible types`},
		{`mode = `, `digestd.conf`},
		{`advisories = "keepout"`, `keep-out`},
		{`advisories-grace = "14"`, `want days or weeks`},
		{`advisories-grace = "0d"`, `want days or weeks`},
		{`advisories-grace = "14h"`, `want days or weeks`},
		{`advisories-protect = ["["]`, `is no pattern`},
		{"advisories = \"withdraw\"\nguard = \"enforce\"", `advisories-withdraw-under-guard = true`},
	} {
		_, err := load(t, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", test.text, err, test.want)
		}
	}
	if _, err := load(t, "sign = \"pgp\"\nformat = \"rpm\"\n"); err != nil {
		t.Errorf("pgp over rpm: %v", err)
	}
}

// TestShippedFile proves that the commented file says what the defaults are.
func TestShippedFile(t *testing.T) {
	data, err := os.ReadFile("../../systemd/digestd.conf")
	if err != nil {
		t.Fatal(err)
	}
	var active strings.Builder
	for line := range strings.Lines(string(data)) {
		if key, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(key, " ") {
			active.WriteString(key)
		}
	}
	got, err := load(t, active.String())
	if err != nil {
		t.Fatal(err)
	}
	got.Path = ""
	if diff := cmp.Diff(config.Default(), got); diff != "" {
		t.Error(diff)
	}
	for _, key := range strings.Fields("root dbpath state lists socket keys bus mode unsigned format sign signing-key keep-old multiversion deployment-rollback labels fapolicyd keylime metrics ima-signatures ima-signature-version guard guard-strict guard-seal guard-modules guard-doubt guard-containers guard-exempt advisories advisories-grace advisories-protect advisories-withdraw-under-guard audit-trail") {
		if !strings.Contains(active.String(), "\n"+key+" = ") && !strings.HasPrefix(active.String(), key+" = ") {
			t.Errorf("%s is not shown", key)
		}
	}
}

func TestAdvisories(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 14 * 24 * time.Hour, `advisories-grace = "3d"`: 3 * 24 * time.Hour, `advisories-grace = "2w"`: 14 * 24 * time.Hour} {
		c, err := load(t, text+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Grace(); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := load(t, "advisories = \"withdraw\"\nguard = \"enforce\"\nadvisories-withdraw-under-guard = true\n"); err != nil {
		t.Error(err)
	}
	if _, err := load(t, "advisories = \"withdraw\"\nguard = \"audit\"\n"); err != nil {
		t.Error(err)
	}
}

func TestPoll(t *testing.T) {
	for text, want := range map[string]string{"auto": "5m0s true", "never": "0s false", "30s": "30s false"} {
		c, err := load(t, "kernel-poll = \""+text+"\"\n")
		if err != nil {
			t.Fatal(err)
		}
		pace, auto, err := c.Poll()
		if got := fmt.Sprint(pace, auto); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}
