// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/needs"
)

func full() sample {
	return sample{up: true, decisions: map[string]uint32{"rollback-refused": 3}, keys: []api.Key{{State: api.KeyRevoked}, {State: api.KeyTrusted, Use: api.UseLists}, {State: "of a newer digestd"}},
		advisories: api.AdvisoryStatus{Due: 2, Severity: []api.SeverityCount{{Severity: "Critical", Packages: 3}, {Severity: "unheard-of", Packages: 1}, {Packages: 1}},
			Origins: []api.AdvisoryOrigin{{Repository: "updates", Made: time.Unix(1_700_000_000, 0)}, {Repository: "never"}}},
		status: api.Status{
			Version: "1.0\"\n\xff{evil}" + strings.Repeat("x", 100), State: api.Degraded, Lists: api.Counts{Active: 7, Withheld: 2}, Files: 99, Counter: 12,
			Problems:    []api.Problem{{Severity: api.SeverityError}, {Severity: "unheard-of"}},
			LastSync:    api.LastSync{When: time.Unix(1_700_000_000, 0), SyncResult: api.SyncResult{Duration: 1500 * time.Millisecond}},
			Verified:    api.Verification{Ended: time.Unix(1_600_000_000, 0), Errors: 4},
			Certificate: api.Certificate{NotAfter: time.Unix(1_900_000_000, 0)},
			Policies:    api.PolicyCounts{InForce: 3, Lapsed: 1, Refused: 2, Packaged: 2},
			Guard:       api.Guard{Mode: api.GuardAudit, Wanted: api.GuardEnforce, Why: "not compared", Digests: 5, Doubts: 4, Counts: api.GuardCounts{Checks: 1 << 40, Missed: 6, Refused: 1, Lost: 2, Dropped: 3}},
		}}
}

// parsed reads what was written, by the reader of Prometheus.
func parsed(t *testing.T, s sample) (map[string]*dto.MetricFamily, string) {
	t.Helper()
	var page bytes.Buffer
	if err := write(&page, s, true); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&page)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return families, text
}

// Every number is told under a name that says what it is.
func TestMetrics(t *testing.T) {
	families, text := parsed(t, full())
	for _, line := range []string{
		"digestd_up 1", "digestd_healthy 0", `digestd_lists{state="active"} 7`, `digestd_lists{state="withheld"} 2`, `digestd_lists{state="retired"} 0`,
		"digestd_files 99", `digestd_problems{severity="error"} 1`, `digestd_problems{severity="notice"} 0`, "digestd_activations_total 12",
		`digestd_keys{state="revoked"} 1`, `digestd_keys{state="trusted"} 0`, `digestd_decisions{kind="rollback-refused"} 3`,
		"digestd_last_sync_timestamp_seconds 1.7e+09", "digestd_last_sync_duration_seconds 1.5", "digestd_last_verification_errors 4",
		"digestd_signing_certificate_expiry_timestamp_seconds 1.9e+09",
		`digestd_packages_below_advisory{severity="critical"} 3`, `digestd_packages_below_advisory{severity="other"} 2`, `digestd_packages_below_advisory{severity="low"} 0`,
		`digestd_repository_metadata_timestamp_seconds{repository="updates"} 1.7e+09`, "digestd_advisories_due 2",
		`digestd_policy_files{state="in_force"} 3`, `digestd_policy_files{state="lapsed"} 1`, `digestd_policy_files{state="refused"} 2`,
		`digestd_policy_files_in_force{origin="package"} 2`, `digestd_policy_files_in_force{origin="administrator"} 1`,
		`digestd_guard_mode{mode="audit"} 1`, `digestd_guard_mode{mode="enforce"} 0`, "digestd_guard_degraded 1", "digestd_guard_doubts_total 4", "digestd_guard_missed_total 6",
		"digestd_guard_refused_total 1", "digestd_guard_lost_total 5", "digestd_guard_checks_total 1.099511627776e+12",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no %q in:\n%s", line, text)
		}
	}
	name := regexp.MustCompile(`^digestd_[a-z]+(_[a-z]+)*$`)
	for _, f := range families {
		if !name.MatchString(f.GetName()) || !strings.HasSuffix(f.GetHelp(), ".") || (f.GetType() == dto.MetricType_COUNTER) != strings.HasSuffix(f.GetName(), "_total") {
			t.Errorf("%s is a %s: %s", f.GetName(), f.GetType(), f.GetHelp())
		}
	}
	if version := families["digestd_build_info"].Metric[0].Label[0].GetValue(); len(version) > 64 || strings.Contains(version, "\xff") || strings.Contains(text, "\n{evil}") {
		t.Errorf("the version is %q", version)
	}
}

// findPromtool looks for Prometheus' own checker, which integration/setup.sh gets where apt has
// it.
func findPromtool() (path string, found bool) {
	for _, name := range []string{"promtool", filepath.Join(cmp.Or(os.Getenv("DIGESTD_TEST_CACHE"), "/var/cache/digestd-test"), "promtool")} {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// promtool, where it is installed, finds nothing to complain of.
func TestPromtool(t *testing.T) {
	for _, s := range []sample{full(), {}, {up: true, status: api.Status{Waiting: true}}} {
		_, text := parsed(t, s)
		promtool, found := findPromtool()
		if !found {
			continue // the text was parsed all the same
		}
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// A digestd that does not answer, or knows nothing yet, tells of itself alone.
func TestMetricsOfNobody(t *testing.T) {
	families, text := parsed(t, sample{})
	if len(families) != 1 || !strings.Contains(text, "\ndigestd_up 0\n") {
		t.Errorf("got:\n%s", text)
	}
	families, _ = parsed(t, sample{up: true, status: api.Status{Waiting: true, Guard: api.Guard{Mode: api.GuardUnknown}}})
	if families["digestd_lists"] != nil || families["digestd_guard_checks_total"] != nil || families["digestd_guard_degraded"].Metric[0].Gauge.GetValue() != 1 {
		t.Errorf("got %v", slices.Sorted(maps.Keys(families)))
	}
}

func TestOpenMetrics(t *testing.T) {
	var page bytes.Buffer
	if err := write(&page, full(), false); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if !strings.HasSuffix(text, "\n# EOF\n") || !strings.Contains(text, "# TYPE digestd_guard_refused counter\ndigestd_guard_refused_total 1.0\n") {
		t.Errorf("it is no OpenMetrics:\n%s", text)
	}
}

// The file is replaced as a whole, in a directory that nobody else can write to, and a link
// leads nowhere.
func TestFile(t *testing.T) {
	needs.Root(t)
	top, err := os.MkdirTemp("/var/lib", "digestd-metrics-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	dir := filepath.Join(top, "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "digestd.prom")
	victim := filepath.Join(top, "victim")
	for _, err := range []error{os.WriteFile(victim, []byte("mine"), 0o644), os.Symlink(victim, file), replace(file, []byte("numbers\n")), replace(file, []byte("more\n"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	if data, _ := os.ReadFile(file); string(data) != "more\n" {
		t.Errorf("the file has %q", data)
	}
	if data, _ := os.ReadFile(victim); string(data) != "mine" {
		t.Errorf("a link was followed: %q", data)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files were left", len(entries))
	}
	open, link := filepath.Join(top, "open"), filepath.Join(top, "link")
	for _, err := range []error{os.MkdirAll(filepath.Join(open, "below"), 0o755), os.Chmod(open, 0o775), os.Symlink(dir, link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"relative": "is not an absolute path", "/": "is not an absolute path", dir + "/../x": "is not an absolute path", link + "/x": "is a symbolic link",
		open + "/x": "users other than root can write to", open + "/below/x": "users other than root can write to", "/tmp/x": "users other than root can write to", top + "/gone/x": "no such file", file + "/x": "is not a directory, or is a symbolic link",
	} {
		if err := replace(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want: %s", path, err, want)
		}
	}
}
