// SPDX-License-Identifier: Apache-2.0

package bus

import "github.com/digestd/digestd/daemon/bus/object"

// The actions of org.digestd1.policy, each with its words for a refusal.
var (
	actionSync     = object.Action{Name: "org.digestd1.sync", Words: "start or cancel a sync"}
	actionRollback = object.Action{Name: "org.digestd1.rollback", Words: "grant or revoke a rollback"}
	actionFloor    = object.Action{Name: "org.digestd1.floor", Words: "set or clear a floor"}
	actionKeys     = object.Action{Name: "org.digestd1.keys", Words: "change which keys are trusted"}
	actionDeny     = object.Action{Name: "org.digestd1.deny", Words: "deny something or lift a denial"}
	actionPolicy   = object.Action{Name: "org.digestd1.policy", Words: "make digestd forget a policy"}
	actionOwn      = object.Action{Name: "org.digestd1.own", Words: "change the owner's own lists, or the order of lists"}
	// Each of these takes a password of its own: an open terminal must not let its finder
	// turn the guard off.
	actionGuard        = object.Action{Name: "org.digestd1.guard", Words: "change what the guard refuses"}
	actionGuardDenials = object.Action{Name: "org.digestd1.guard-denials", Words: "see what the guard refused"}
	actionVerify       = object.Action{Name: "org.digestd1.verify", Words: "verify files, or see the findings"}
	actionAnchor       = object.Action{Name: "org.digestd1.anchor", Words: "change what anchors the index, or quote it"}
)
