// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"flag"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

var update = flag.Bool("update", false, "write docs/report.png, by Chromium")

// picture is the page in the README, so many pixels wide and high.
const (
	picture        = "../../../docs/report.png"
	pictureWidth   = 1000
	pictureHeight  = 760
	pictureMaxSize = 256 << 10
)

// sample is a report about a machine that does not exist.
func sample() *Report {
	now := time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	key := api.Key{Fingerprint: "4fe2b1a0c8d93b7e6a5f4d3c2b1a09f8e7d6c5b4", Owner: "Example Linux <security@example.org>", Algorithm: "ed25519", State: api.KeyTrusted, Lists: 1204, Files: 61877}
	r := &Report{
		Made: now, Host: "web1.example.org", Keys: []api.Key{key},
		Status: api.Status{Version: "1.0", State: api.Healthy, Mode: "enforce", Root: "/", Packages: 1206, Files: 61877,
			Lists: api.Counts{Active: 1205, Withheld: 1, Quarantined: 1, Own: 1}, Keys: []api.Key{key}},
		Coverage: Coverage{Executables: 3120, Named: 3117,
			Directories: []Directory{{"/usr/bin", 1480, 1479}, {"/usr/lib64", 1242, 1242}, {"/usr/sbin", 396, 396}, {"/opt/vendor", 2, 0}},
			Unnamed:     []Unnamed{{Path: "/opt/vendor/agent", Verdict: api.VerdictUnknown, Reason: "no list includes it"}}},
		Lists: []api.List{{Name: "tlv-vendor-agent", NEVRA: "vendor-agent-3.1-1.x86_64", State: api.StateWithheld, Reason: "unsigned", Text: "the package is not signed", Since: now.AddDate(0, 0, -3)}},
	}
	for i := range 40 {
		kind := []string{"published", "withdrawn", "rollback-refused", "granted"}[i%4]
		r.Decisions = append(r.Decisions, api.Event{Kind: kind, NEVRA: fmt.Sprintf("package%d-1-1.x86_64", i), When: now.Add(-time.Duration(i) * 7 * time.Hour)})
	}
	r.Advise()
	return r
}

// TestPicture: the README shows the page as it is. make docs takes the picture.
func TestPicture(t *testing.T) {
	if *update {
		dir := t.TempDir()
		page, err := os.Create(filepath.Join(dir, "page.html"))
		if err != nil {
			t.Fatal(err)
		}
		if err := sample().HTML(page); err != nil {
			t.Fatal(err)
		}
		page.Close()
		target, err := filepath.Abs(picture)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage",
			"--hide-scrollbars", "--user-data-dir="+filepath.Join(dir, "profile"), fmt.Sprintf("--window-size=%d,%d", pictureWidth, pictureHeight), "--screenshot="+target, "file://"+page.Name())
		cmd.Env = append(os.Environ(), "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	f, err := os.Open(picture)
	if err != nil {
		t.Fatalf("%v; make docs takes the picture", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() > pictureMaxSize {
		t.Fatalf("the picture has %d bytes, at most %d are wanted (%v)", info.Size(), pictureMaxSize, err)
	}
	config, err := png.DecodeConfig(f)
	if err != nil || config.Width != pictureWidth || config.Height != pictureHeight {
		t.Errorf("the picture has %d by %d pixels, want %d by %d (%v)", config.Width, config.Height, pictureWidth, pictureHeight, err)
	}
}
