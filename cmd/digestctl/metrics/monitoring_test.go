// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/audit"
)

const monitoring = "../../../docs/monitoring/"

// declared are the labels of all metrics, by name, as collect.go declares them.
func declared(t *testing.T) map[string]string {
	t.Helper()
	source, err := os.ReadFile("collect.go")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, m := range regexp.MustCompile(`family\{"(digestd_[a-z_]+)", "[^"]*", "([a-z]*)"\}`).FindAllStringSubmatch(string(source), -1) {
		labels[m[1]] = m[2]
	}
	families, _ := parsed(t, full())
	for name := range families {
		if _, known := labels[name]; !known && strings.HasPrefix(name, "digestd_") {
			t.Errorf("%s is told and not found in collect.go", name)
		}
	}
	return labels
}

// used are the metrics that expressions name, each with its labels.
var used = regexp.MustCompile(`\b(digestd_[a-z_]+)(\{[^}]*\})?`)

// wantKnown checks that an expression names only metrics that there are, with labels and
// values that they have.
func wantKnown(t *testing.T, where, expr string, labels map[string]string) {
	t.Helper()
	found := used.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 {
		t.Errorf("%s: %q names no metric", where, expr)
	}
	for _, m := range found {
		label, known := labels[m[1]]
		if !known {
			t.Errorf("%s names %s, which there is not", where, m[1])
		}
		for part := range strings.SplitSeq(strings.Trim(m[2], "{}"), ",") {
			name, value, _ := strings.Cut(part, "=")
			if name != "" && name != "instance" && name != label {
				t.Errorf("%s: %s has no label %s", where, m[1], name)
			}
			kind := strings.Trim(value, `"`)
			if name == "kind" && strings.HasPrefix(audit.Lookup(kind).Words, kind) {
				t.Errorf("%s: there is no kind of decision %s", where, kind)
			}
		}
	}
}

// TestAlertsNameMetrics: each alert is about metrics that digestctl tells, and says what to do.
func TestAlertsNameMetrics(t *testing.T) {
	data, err := os.ReadFile(monitoring + "digestd.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	labels := declared(t)
	_, text, _ := strings.Cut(string(data), "rules:\n")
	alerts := strings.Split(text, "      - alert: ")[1:]
	if len(alerts) < 10 {
		t.Errorf("%d alerts", len(alerts))
	}
	for _, alert := range alerts {
		name, rest, _ := strings.Cut(alert, "\n")
		expr := ""
		for line := range strings.Lines(rest) {
			if after, is := strings.CutPrefix(strings.TrimSpace(line), "expr: "); is {
				expr = after
			}
		}
		wantKnown(t, name, expr, labels)
		for _, part := range []string{"severity: ", "summary: ", "description: "} {
			if strings.Count(rest, part) < 1 {
				t.Errorf("%s has no %s", name, part)
			}
		}
	}
	if promtool, found := findPromtool(); found {
		if out, err := exec.Command(promtool, "check", "rules", monitoring+"digestd.rules.yml").CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

// TestDashboardNamesMetrics: each panel shows metrics that digestctl tells.
func TestDashboardNamesMetrics(t *testing.T) {
	data, err := os.ReadFile(monitoring + "digestd.dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	if len(board.Panels) < 10 {
		t.Errorf("%d panels", len(board.Panels))
	}
	labels := declared(t)
	seen := map[int]bool{}
	for _, p := range board.Panels {
		if p.Title == "" || len(p.Targets) == 0 || seen[p.ID] {
			t.Errorf("panel %d: %+v", p.ID, p)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			wantKnown(t, p.Title, target.Expr, labels)
		}
	}
}
