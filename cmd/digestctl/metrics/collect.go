// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/digestd/digestd/daemon/api"
)

// family is one metric.
type family struct {
	name, help string
	label      string // the name of its label, "" for none
}

// kind is that of a metric whose value only rises, or of one that may do anything.
func (f family) kind() dto.MetricType {
	if strings.HasSuffix(f.name, "_total") {
		return dto.MetricType_COUNTER
	}
	return dto.MetricType_GAUGE
}

// families are all there are. Names of what only rises end with _total, and each has its unit
// in its name.
var (
	up          = family{"digestd_up", "Whether digestd answers.", ""}
	info        = family{"digestd_build_info", "The version of digestd.", "version"}
	healthy     = family{"digestd_healthy", "Whether digestd has no error and no warning among its problems.", ""}
	problems    = family{"digestd_problems", "Problems that need an administrator.", "severity"}
	lists       = family{"digestd_lists", "Lists by state.", "state"}
	ownLists    = family{"digestd_own_lists", "The owner's own lists.", ""}
	files       = family{"digestd_files", "Files in active lists.", ""}
	packages    = family{"digestd_packages", "Packages that are installed.", ""}
	transaction = family{"digestd_transaction_in_progress", "Whether a package transaction is in progress.", ""}
	activations = family{"digestd_activations_total", "Activations of lists.", ""}
	keys        = family{"digestd_keys", "Keys that vouch for packages, or did, by state.", "state"}
	decisions   = family{"digestd_decisions", "Decisions on record, by kind: refusals, rollbacks refused, revocations and others.", "kind"}
	certificate = family{"digestd_signing_certificate_expiry_timestamp_seconds", "When the certificate ends that signs lists.", ""}
	synced      = family{"digestd_last_sync_timestamp_seconds", "When lists were compared with rpm's database last.", ""}
	syncSeconds = family{"digestd_last_sync_duration_seconds", "How long that took.", ""}
	verified    = family{"digestd_last_verification_timestamp_seconds", "When the latest verification of everything ended.", ""}
	wrong       = family{"digestd_last_verification_errors", "Errors that this verification found.", ""}

	belowAdvisory = family{"digestd_packages_below_advisory", "Installed packages that a security advisory has a fix for, by its severity.", "severity"}
	metadataMade  = family{"digestd_repository_metadata_timestamp_seconds", "When the metadata of a package repository was made that is on this disk.", "repository"}
	advisoriesDue = family{"digestd_advisories_due", "Lists that are to be withdrawn for an advisory.", ""}

	policyFiles  = family{"digestd_policy_files", "Policy files, by what became of them; one that is in force is also refused if a later version of it is.", "state"}
	policyOrigin = family{"digestd_policy_files_in_force", "Policy files in force, by who brought them.", "origin"}

	anchored    = family{"digestd_anchor", "How the index stands to the counter in the TPM: 1 for the standing it has.", "standing"}
	anchorEpoch = family{"digestd_anchor_epoch_total", "Epochs of the index.", ""}
	anchorDue   = family{"digestd_anchor_due", "Whether something was decided that is not anchored yet.", ""}

	guardMode     = family{"digestd_guard_mode", "The mode of the guard in the kernel: 1 for the one it is in.", "mode"}
	guardDegraded = family{"digestd_guard_degraded", "Whether the guard does less than its owner wants, or cannot enforce.", ""}
	guardDoubts   = family{"digestd_guard_doubts_total", "How often the guard's self-test, its snapshot or a check spoke against enforcing, since digestd-guard was started.", ""}
	guardTrial    = family{"digestd_guard_trial_seconds", "How long a trial of mode enforce still lasts; 0 if there is none.", ""}
	guardDigests  = family{"digestd_guard_digests", "Contents that the guard lets run.", ""}
	guardChecks   = family{"digestd_guard_checks_total", "Checks of the guard since it was loaded.", ""}
	guardCached   = family{"digestd_guard_cached_total", "Checks that needed no hash.", ""}
	guardHashed   = family{"digestd_guard_hashed_total", "Checks that hashed a file.", ""}
	guardMissed   = family{"digestd_guard_missed_total", "Checks that mode enforce refuses.", ""}
	guardRefused  = family{"digestd_guard_refused_total", "Checks that were refused.", ""}
	guardLost     = family{"digestd_guard_lost_total", "Refusals that are in no log.", ""}
	guardExempted = family{"digestd_guard_exempted_total", "Checks that an exemption let through.", ""}
	guardVoided   = family{"digestd_guard_voided_total", "Known digests that became void by a write.", ""}
)

// samples are metrics by their names.
type samples map[string]*dto.MetricFamily

// add adds one value. A label holds words of ours, or of digestd's where bounded.
func (c samples) add(f family, value float64, label ...string) {
	in := c[f.name]
	if in == nil {
		kind := f.kind()
		in = &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: &kind}
		c[f.name] = in
	}
	m := &dto.Metric{}
	if f.label != "" {
		m.Label = []*dto.LabelPair{{Name: &f.label, Value: &label[0]}}
	}
	if f.kind() == dto.MetricType_COUNTER {
		m.Counter = &dto.Counter{Value: &value}
	} else {
		m.Gauge = &dto.Gauge{Value: &value}
	}
	in.Metric = append(in.Metric, m)
}

// sorted are the metrics by name, each by its labels.
func (c samples) sorted() []*dto.MetricFamily {
	for _, f := range c {
		slices.SortFunc(f.Metric, func(a, b *dto.Metric) int { return cmp.Compare(labelOf(a), labelOf(b)) })
	}
	return slices.SortedFunc(maps.Values(c), func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

func labelOf(m *dto.Metric) string {
	if len(m.Label) == 0 {
		return ""
	}
	return m.Label[0].GetValue()
}

// bounded keeps what digestd says short, and one word of text.
func bounded(text string) string {
	const most = 64
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// collect tells all that is known.
func (s sample) collect() samples {
	all := samples{}
	add := all.add
	add(up, truth(s.up))
	if !s.up {
		return all
	}
	st := s.status
	add(info, 1, bounded(st.Version))
	if a := st.Anchor; a.Where != "" {
		add(anchored, 1, bounded(a.Standing))
		add(anchorEpoch, float64(a.Epoch))
		add(anchorDue, truth(a.Due))
	}
	add(healthy, truth(st.State == api.Healthy))
	bySeverity := map[string]int{api.SeverityError: 0, api.SeverityWarning: 0, api.SeverityNotice: 0}
	for _, p := range st.Problems {
		if _, known := bySeverity[p.Severity]; known {
			bySeverity[p.Severity]++
		}
	}
	for severity, n := range bySeverity {
		add(problems, float64(n), severity)
	}
	s.collectGuard(add)
	if st.Waiting {
		return all
	}
	for state, n := range map[string]int{api.StateActive: st.Lists.Active, api.StateWithheld: st.Lists.Withheld, api.StateQuarantined: st.Lists.Quarantined, api.StateRetired: st.Lists.Retired} {
		add(lists, float64(n), state)
	}
	add(ownLists, float64(st.Lists.Own))
	add(files, float64(st.Files))
	add(packages, float64(st.Packages))
	add(transaction, truth(st.Transaction))
	add(activations, float64(st.Counter))
	states := map[string]int{api.KeyTrusted: 0, api.KeyExpired: 0, api.KeyRevoked: 0, api.KeyWeak: 0, api.KeyGone: 0}
	for _, k := range s.keys {
		if _, known := states[k.State]; known && k.Use == "" {
			states[k.State]++
		}
	}
	for state, n := range states {
		add(keys, float64(n), state)
	}
	for kind, n := range s.decisions {
		add(decisions, float64(n), kind)
	}
	for state, n := range map[string]int{"in_force": st.Policies.InForce, "lapsed": st.Policies.Lapsed, "refused": st.Policies.Refused} {
		add(policyFiles, float64(n), state)
	}
	for origin, n := range map[string]int{"package": st.Policies.Packaged, "administrator": st.Policies.InForce - st.Policies.Packaged} {
		add(policyOrigin, float64(n), origin)
	}
	s.collectAdvisories(add)
	addTime := func(f family, t time.Time) {
		if !t.IsZero() {
			add(f, float64(t.UnixMilli())/1000)
		}
	}
	addTime(certificate, st.Certificate.NotAfter)
	addTime(synced, st.LastSync.When)
	if !st.LastSync.When.IsZero() {
		add(syncSeconds, st.LastSync.Duration.Seconds())
	}
	addTime(verified, st.Verified.Ended)
	if !st.Verified.Ended.IsZero() {
		add(wrong, float64(st.Verified.Errors))
	}
	return all
}

// collectAdvisories tells of what repositories say. A severity that is none of those that
// distributions use counts as other.
func (s sample) collectAdvisories(add func(f family, value float64, label ...string)) {
	const mostRepositories = 100
	bySeverity := map[string]int{"critical": 0, "important": 0, "moderate": 0, "low": 0, "other": 0}
	for _, c := range s.advisories.Severity {
		severity := strings.ToLower(c.Severity)
		if _, known := bySeverity[severity]; !known {
			severity = "other"
		}
		bySeverity[severity] += c.Packages
	}
	for severity, n := range bySeverity {
		add(belowAdvisory, float64(n), severity)
	}
	add(advisoriesDue, float64(s.advisories.Due))
	seen := map[string]bool{}
	for _, o := range s.advisories.Origins[:min(len(s.advisories.Origins), mostRepositories)] {
		if name := bounded(o.Repository); !o.Made.IsZero() && !seen[name] {
			seen[name] = true
			add(metadataMade, float64(o.Made.Unix()), name)
		}
	}
}

// collectGuard tells of the guard, where it is configured.
func (s sample) collectGuard(add func(f family, value float64, label ...string)) {
	g := s.status.Guard
	if g.Mode == "" {
		g.Mode = api.GuardOff
	}
	for _, mode := range []string{api.GuardOff, api.GuardAudit, api.GuardEnforce, api.GuardUnknown} {
		add(guardMode, truth(g.Mode == mode), mode)
	}
	add(guardDegraded, truth(g.Why != "" || g.Doubt != "" || g.Mode == api.GuardUnknown))
	if g.Mode == api.GuardOff || g.Mode == api.GuardUnknown {
		return
	}
	n := g.Counts
	add(guardDoubts, float64(g.Doubts))
	add(guardTrial, g.Trial.Seconds())
	add(guardDigests, float64(g.Digests))
	add(guardChecks, float64(n.Checks))
	add(guardCached, float64(n.Cached))
	add(guardHashed, float64(n.Hashed))
	add(guardMissed, float64(n.Missed))
	add(guardRefused, float64(n.Refused))
	add(guardLost, float64(n.Lost)+float64(n.Dropped))
	add(guardExempted, float64(n.Exempted))
	add(guardVoided, float64(n.Voided))
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
