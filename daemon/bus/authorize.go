// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"os"

	"github.com/digestd/digestd/daemon/api"
)

// action is what somebody wants to do that not everybody may.
type action string

// The actions, each with its words for a refusal in describe.
const (
	free           action = "" // reading
	actionSync     action = "org.digestd1.sync"
	actionRollback action = "org.digestd1.rollback"
	actionFloor    action = "org.digestd1.floor"
	actionKeys     action = "org.digestd1.keys"
)

func (a action) describe() string {
	switch a {
	case actionSync:
		return "start or cancel a sync"
	case actionRollback:
		return "grant or revoke a rollback"
	case actionFloor:
		return "set or clear a floor"
	case actionKeys:
		return "change which keys count"
	}
	return "do this"
}

// authorize decides whether by may do a: root may, and whoever runs the daemon.
func authorize(a action, by api.Actor) error {
	if a == free || by.UID == 0 || by.UID == uint32(os.Geteuid()) {
		return nil
	}
	return &api.Error{Code: api.AccessDenied, Message: "only root may " + a.describe(), Advice: "run it with sudo"}
}
