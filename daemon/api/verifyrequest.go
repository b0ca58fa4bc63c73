// SPDX-License-Identifier: Apache-2.0

package api

// VerifyRequest asks for a verification. Without paths and packages it verifies everything.
type VerifyRequest struct {
	Paths      []string // bytes, absolute
	Packages   []string // names, name.arch or NEVRA
	Fix        bool     // fix what can be fixed
	Unlabelled bool     // with Fix: also bind files that have no label
	Idle       bool     // run only while the machine is idle otherwise
	Resume     bool     // continue the same verification where it was interrupted

}
