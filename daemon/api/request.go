// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// OwnRequest says what is to become of an upload.
type OwnRequest struct {
	Name    string      // of the list
	Upload  uint64      // its number
	Import  bool        // it is a list that was made and signed elsewhere
	Base    uint64      // the version it was made from; 0 for a list that is new
	Sources []OwnSource // the paths it was made of
	Listed  bool        // and the very files it has
	Reason  string      // for the log
}

// Stale says in what way a list is no longer as it was when the request was made,
// "" if it is.
func (r OwnRequest) Stale(version uint64, exists bool) string {
	switch {
	case r.Base == 0 && exists:
		return "exists already"
	case r.Base != 0 && !exists:
		return "is gone"
	case r.Base != 0 && r.Base != version:
		return "was changed meanwhile"
	}
	return ""
}

// GuardRequest asks for a mode of the guard.
type GuardRequest struct {
	Mode    string        // off, audit, enforce
	Trial   time.Duration // enforce ends by itself after it; 0 for never
	Confirm bool          // a trial that is in force shall last
	Force   bool          // enforce, although the guard would refuse what is needed
	Checked bool          // root has looked at what runs already
	Reason  string        // for the log
}

// GuardExemptRequest asks for an exemption, or for its end.
type GuardExemptRequest struct {
	Group  string // a cgroup, as guard-exempt in the configuration has them
	End    bool
	Force  bool // exempt it although others than root can make processes part of it
	Reason string
}
