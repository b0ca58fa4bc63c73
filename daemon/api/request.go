// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// OwnRequest asks to make or change an own list from an upload.
type OwnRequest struct {
	Name    string      // of the list
	Upload  uint64      // the number of the upload
	Import  bool        // the list was made and signed elsewhere
	Base    uint64      // the version from which it was made; 0 for a new list
	Sources []OwnSource // the paths from which it was made
	Listed  bool        // it also has files that the owner listed one by one
	Reason  string      // for the log
}

// Stale explains how the list changed since the request was made. It returns "" if it did not.
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
	Trial   time.Duration // after this time mode enforce ends by itself; 0 for never
	Confirm bool          // makes the current trial permanent
	Force   bool          // enforce even if the guard would refuse files that the machine needs
	Checked bool          // root has checked the files that run now
	Reason  string        // for the log
}

// GuardExemptRequest asks to exempt a cgroup, or to end its exemption.
type GuardExemptRequest struct {
	Group  string // a cgroup, in the form of the setting guard-exempt
	End    bool
	Force  bool // even if users other than root can put processes into it
	Reason string
}
