// SPDX-License-Identifier: Apache-2.0

package enrol_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/view"
)

func signed(c *config.Config) { c.Sign = "pkcs7" }

// problem returns what status says under an identifier, nil for nothing.
func problem(m *daemontest.Machine, id string) *api.Problem {
	all := m.Snapshot().Problems
	if i := slices.IndexFunc(all, func(p api.Problem) bool { return p.ID == id }); i >= 0 {
		return &all[i]
	}
	return nil
}

// A certificate of before that cannot be read does not keep digestd from starting; status
// names it.
func TestStartWithAnUnreadableOldCertificate(t *testing.T) {
	m := daemontest.New(t, signed)
	m.Stop()
	bad := filepath.Join(m.Config.State, view.OldDir, "bad.crt")
	if err := os.MkdirAll(filepath.Dir(bad), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Start(t)
	m.Sync(t)
	if p := problem(m, "old-certificates"); p == nil || !strings.Contains(p.Text, bad) {
		t.Errorf("status says %+v", p)
	}
}
