// SPDX-License-Identifier: Apache-2.0

package mutants

// What follows when the machine boots another installed system.
var retaining = []mutation{
	{"deployment-refused", "daemon/ledger/deployed/deployed.go", "\tif s.RefuseOlder {\n\t\treturn d", "\tif true {\n\t\treturn d",
		"a machine that boots a retained system gets no lists of what is older in it"},
	{"deployment-not-refused", "daemon/ledger/deployed/deployed.go", "\tif s.RefuseOlder {\n\t\treturn d", "\tif false {\n\t\treturn d",
		"what is older in a retained system gets lists though the owner refuses that"},
	{"deployment-overrules-floors", "policy/deployment.go", "case ReasonRollback, ReasonRollbackRetired, ReasonAdvisory:", "case ReasonRollback, ReasonRollbackFloor, ReasonRollbackRetired, ReasonAdvisory:",
		"what is below a floor comes by booting another system"},
	{"deployment-advised-refused", "policy/deployment.go", "case ReasonRollback, ReasonRollbackRetired, ReasonAdvisory:", "case ReasonRollback, ReasonRollbackRetired:",
		"what an advisory is about gets no list in a retained system"},
	{"deployment-launders", "daemon/ledger/deployed/deployed.go", "return e == nil || e.Grace != \"\"", "return e == nil || e.Header == header",
		"what was refused and is installed gets a list by booting a copy of the system"},
	{"deployment-kept-is-had", "daemon/ledger/deployed/deployed.go", "return e == nil || e.Grace != \"\"", "return e == nil",
		"a package of a retained system is refused whose list was kept in the other one until it was left"},
	{"deployment-forgets-what-waits", "daemon/ledger/deployed/deployed.go", "\t\t\tnow.Waiting = append(now.Waiting, header)\n", "",
		"a package of a retained system is refused for ever, whose key was not trusted when it was booted"},
	{"deployment-waits-for-all", "daemon/ledger/deployed/deployed.go", "\tnow.Due, now.Waiting = false, nil\n", "\tnow.Waiting = nil\n",
		"what is installed unseen after the first comparison counts as a part of the retained system"},
	{"deployment-blamed", "daemon/ledger/deployed/deployed.go", "\t\ts.Unsettled = true\n", "",
		"lists that the retained system was left with are called tampering"},
}
