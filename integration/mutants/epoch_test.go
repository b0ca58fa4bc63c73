// SPDX-License-Identifier: Apache-2.0

package mutants

// What binds the index to the counter in the TPM. The histories of a machine that has one see these:
// their names begin with what anchored says.
var anchoring = []mutation{
	{anchored + "raised-after-increment", "daemon/anchor/anchor.go",
		`	raised := false
	err = a.Exec.Decide(ctx, "epoch", func(l *ledger.Ledger) error {
		raised = l.RaiseEpoch(value)
		return nil
	})
	if err != nil || !raised {
		return err
	}
	_, err = a.rise(ctx, s, value)
	return err
`, `	if due, _ := a.state(ctx); !due {
		return nil
	}
	if _, err := a.rise(ctx, s, value); err != nil {
		return err
	}
	return a.Exec.Decide(ctx, "epoch", func(l *ledger.Ledger) error {
		l.RaiseEpoch(value)
		return nil
	})
`, "the counter rises before the epoch is durable, and a crash between counts as an older state"},
	{anchored + "behind-not-noticed", "policy/epoch.go", "\tcase e.Counter > e.Index:\n\t\treturn Older\n", "\tcase e.Counter > e.Index:\n\t\treturn Anchored\n",
		"an index from before the counter rose passes for the latest"},
	{anchored + "answered-before-increment", "daemon/anchor/anchor.go", "\t\terr := a.Pass(ctx)\n\t\tfor _, done := range waiting {\n\t\t\tdone <- err\n\t\t}\n",
		"\t\tfor _, done := range waiting {\n\t\t\tdone <- nil\n\t\t}\n\t\terr := a.Pass(ctx)\n",
		"a revocation is answered as anchored before the counter rose"},
	{anchored + "left-pending", "daemon/anchor/anchor.go", "\tcase standing == policy.ToIncrement:\n", "\tcase standing == policy.ToIncrement && false:\n",
		"what a crash left between epoch and counter is not completed, and nothing is anchored any more"},
	{anchored + "not-of-floors", "daemon/ledger/state/state.go", " || old.Floor != l.Floor", "",
		"a floor begins no epoch"},
	{anchored + "not-of-versions", "daemon/ledger/state/state.go", "old.High != l.High || ", "",
		"a higher version begins no epoch"},
	{anchored + "not-of-denials", "daemon/ledger/grounds/denials.go", "\ts.Denied[d.ID] = d\n\ts.Decided(true)\n", "\ts.Denied[d.ID] = d\n",
		"a denial begins no epoch"},
	{anchored + "not-of-revocations", "daemon/ledger/state/state.go", "\t\ts.Decided(true)\n", "",
		"a revocation begins no epoch"},
	{anchored + "accepted-as-latest", "daemon/ledger/grounds/anchor.go", "a.Epoch, a.Due = counter+1, true", "a.Epoch, a.Due = counter, true",
		"after an older state was accepted, the one before that passes for it"},
	{anchored + "grants-in-doubt", "policy/admit.go", "if l.Doubt == NoDoubt && slices.Contains(l.Grants, e) {", "if slices.Contains(l.Grants, e) {",
		"a grant of an older state lets a version in that the latest state refuses"},
	{anchored + "doubt-ignored", "policy/epoch.go", "if l.Doubt == NoDoubt || ", "if true || l.Doubt == NoDoubt || ",
		"an older state admits what is older than what is installed"},
}
