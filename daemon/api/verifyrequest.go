// SPDX-License-Identifier: Apache-2.0

package api

// VerifyRequest is what somebody wants to be verified. With neither paths nor
// packages that is everything.
type VerifyRequest struct {
	Paths      []string // bytes, absolute
	Packages   []string // names, name.arch or NEVRA
	Fix        bool     // fixed what can be
	Unlabelled bool     // with Fix: bind files that have no label, too
	Idle       bool     // give way to everybody else
	Resume     bool     // go on where the same was interrupted
}
