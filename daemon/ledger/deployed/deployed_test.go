// SPDX-License-Identifier: Apache-2.0

package deployed_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger/deployed"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/policy"
)

// version is a package of a version.
func version(t *testing.T, name, v string) gendb.Small {
	p := daemontest.Package(t, name, "", map[string]string{"/usr/bin/" + name: name + v})
	p.NEVRA.EVR = nevra.EVR{Version: v, Release: "1"}
	return p
}

const hello1, hello2 = "tlv-hello-0:1-1.noarch", "tlv-hello-0:2-1.noarch"

// upgraded is a machine that had hello-1 in deployment A, and runs B with hello-2. It returns
// what the list directory of A had.
func upgraded(t *testing.T, set ...func(*config.Config)) (m *daemontest.Machine, lists string) {
	t.Helper()
	m = daemontest.New(t, set...)
	m.Boot(t, "A")
	m.Install(t, version(t, "hello", "1"))
	m.Sync(t)
	lists = filepath.Join(t.TempDir(), "lists")
	if err := os.CopyFS(lists, os.DirFS(m.Config.Lists)); err != nil {
		t.Fatal(err)
	}
	m.Boot(t, "B")
	m.Erase(t, version(t, "hello", "1"))
	m.Install(t, version(t, "hello", "2"))
	m.Sync(t)
	return m, lists
}

// back boots A again, with its packages and its list directory.
func back(t *testing.T, m *daemontest.Machine, lists string) {
	t.Helper()
	m.Erase(t, version(t, "hello", "2"))
	m.Install(t, version(t, "hello", "1"))
	m.Stop()
	for _, name := range m.Names(t) {
		if err := os.Remove(filepath.Join(m.Config.Lists, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(m.Config.Lists, os.DirFS(lists)); err != nil {
		t.Fatal(err)
	}
	m.Boot(t, "A")
}

func TestWentBack(t *testing.T) {
	m, lists := upgraded(t)
	if got := m.Events(t, "deployment-changed"); len(got) != 1 || got[0].Reason != "btrfs subvolume /B" {
		t.Errorf("after an upgrade the log has %+v", got)
	}
	if d := m.Status().Deployment; d.Former != "btrfs subvolume /A" || !d.Compared || d.Older != 0 {
		t.Errorf("it is %+v", d)
	}
	back(t, m, lists)
	if d := m.Status().Deployment; d.Compared || d.Name != "btrfs subvolume /A" {
		t.Errorf("before a comparison it is %+v", d)
	}
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{hello1}) {
		t.Errorf("lists are %q", got)
	}
	want := "the machine was booted into btrfs subvolume /A instead of btrfs subvolume /B: 1 package of it is older than what was active here: hello-1-1.noarch"
	if p := m.Problem(deployed.ProblemOlder); p.Text != want || p.Severity != api.SeverityWarning {
		t.Errorf("the problem is %+v", p)
	}
	if d := m.Status().Deployment; !d.Compared || d.Older != 1 || d.Rollback != config.DeploymentReport {
		t.Errorf("it is %+v", d)
	}
	if got := m.Events(t, "tampered"); len(got) > 0 {
		t.Errorf("its lists are called tampering: %+v", got)
	}
	if got := m.Events(t, "rollback-allowed"); len(got) != 1 || strings.Contains(got[0].Text, "grant") || !strings.Contains(got[0].Text, "it is part of btrfs subvolume /A") {
		t.Errorf("the log has %+v", got)
	}
	// The daemon is started again: it knows all that still.
	m.Stop()
	m.Start(t)
	if p := m.Problem(deployed.ProblemOlder); p.Text != want {
		t.Errorf("after a restart the problem is %+v", p)
	}
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{hello1}) || len(m.Events(t, "deployment-older")) != 1 {
		t.Errorf("lists are %q", got)
	}
	m.Erase(t, version(t, "hello", "1"))
	m.Install(t, version(t, "hello", "3"))
	if m.Sync(t); m.Problem(deployed.ProblemOlder).Text != "" || m.Status().Deployment.Older != 0 {
		t.Errorf("after an update the problem is %+v", m.Problem(deployed.ProblemOlder))
	}
}

func TestIsRefused(t *testing.T) {
	m, lists := upgraded(t, func(c *config.Config) { c.DeploymentRollback = config.DeploymentRefuse })
	back(t, m, lists)
	m.Sync(t)
	e := m.Snapshot().List(hello1)
	if got := m.Names(t); len(got) != 0 || e == nil || e.Reason != string(policy.ReasonRollback) {
		t.Errorf("lists are %q, and it is %+v", got, e)
	}
	if p := m.Problem(deployed.ProblemOlder); p.Severity != api.SeverityError || !strings.Contains(p.Text, "1 without a list") {
		t.Errorf("the problem is %+v", p)
	}
	if d := m.Status().Deployment; d.Waiting != 1 || d.Rollback != config.DeploymentRefuse {
		t.Errorf("it is %+v", d)
	}
	// The owner changes the setting.
	m.Stop()
	m.Config.DeploymentRollback = config.DeploymentReport
	m.Start(t)
	if m.Sync(t); !slices.Equal(m.Names(t), []string{hello1}) || m.Status().Deployment.Waiting != 0 {
		t.Errorf("lists are %q, and it is %+v", m.Names(t), m.Status().Deployment)
	}
}

// A machine without deployments, or one where they cannot be told, is as it always was.
func TestNoDeployment(t *testing.T) {
	m := daemontest.New(t)
	m.Install(t, version(t, "hello", "2"))
	m.Sync(t)
	m.Erase(t, version(t, "hello", "2"))
	m.Install(t, version(t, "hello", "1"))
	if m.Sync(t); len(m.Names(t)) != 0 || m.Status().Deployment != (api.Deployment{}) {
		t.Errorf("lists are %q, and it is %+v", m.Names(t), m.Status().Deployment)
	}
}
