// SPDX-License-Identifier: Apache-2.0

package mutants

// What advisories of repositories keep out and withdraw, and floors beside them.
var advising = []mutation{
	{"advice-grace-ignored", "daemon/ledger/grounds/origins.go", "known.Due = s.Now().Add(grace)", "known.Due = s.Now()",
		"a list goes for an advisory on the day of its announcement"},
	{"advice-protected-withdrawn", "daemon/advisory/retract.go", "ok && err == nil", "ok && err != nil",
		"the list of a protected package goes for an advisory"},
	{"advice-limit-ignored", "daemon/ledger/grounds/origins.go", "if len(out) >= r.Most {", "if false {",
		"more lists go for advisories than may in a day"},
	{"advice-never-withdraws", "daemon/ledger/grounds/origins.go", "\ts.Suspend(out)\n\treturn len(out), waiting\n", "\treturn len(out), waiting\n",
		"no list goes for an advisory"},
	{"advice-lowers", "daemon/ledger/grounds/origins.go", "nevra.Compare(f.EVR, now[i].EVR) <= 0:", "nevra.Compare(f.EVR, now[i].EVR) == 0:",
		"a repository lowers what it said before"},
	{"advice-of-another-forgotten", "daemon/ledger/advice/advice.go", "return f.Origin == origin })", "return f.Origin == origin || len(floors) == 0 })",
		"what all repositories said is lifted when one of them is forgotten"},
	{"advice-of-strangers", "daemon/ledger/advice/advice.go", "case told.Key != \"\" && slices.Contains(o.Keys, told.Key), signed(o.Keys):", "case told.Key != \"\", signed(o.Keys):",
		"a repository is heard of packages that its keys did not sign"},
	{"advice-keeps-nothing-out", "daemon/ledger/advice/advice.go", "\t\t\tline.Advised = &policy.Advised{EVR: f.EVR, Text: Text(f, o)}\n", "",
		"a version comes of which an advisory says that it lacks a fix"},
	{"advice-withdrawn-returns", "policy/admit.go", " && !(a.Retracted && l.belowAdvised(e))", "",
		"a list that went for an advisory returns with the next comparison"},
	{"advice-forgets-grant", "daemon/ledger/state/state.go", "(e.Suspended() || e.Retracted())", "(e.Suspended() || e.Retracted() && !e.Granted)",
		"a version that came by a grant does not return when the advisory is forgotten"},
	{"floor-withdraws-nothing", "daemon/admin/versions.go", "\t\ts.Suspend(s.BelowFloors(ids[0].Name))\n", "",
		"a floor is answered while lists below it are there"},
	{"floor-spares-unknown", "daemon/admin/versions.go", "\t\ts.Suspend(s.BelowFloors(ids[0].Name))\n\t\ts.WithdrawUnknown()\n", "\t\ts.Suspend(s.BelowFloors(ids[0].Name))\n",
		"what an interrupted transaction published outlives a floor"},
}
