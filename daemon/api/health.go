// SPDX-License-Identifier: Apache-2.0

package api

import (
	"slices"
	"time"
)

// The results of [Health].
const (
	Healthy  = "healthy"
	Degraded = "degraded"
)

// Severities of a [Problem].
const (
	SeverityError   = "error"   // a file or list is not vouched for, or digestd lost information
	SeverityWarning = "warning" // something will fail if nobody acts
	SeverityNotice  = "notice"  // for information; no action is necessary
)

// Problem is a condition that lasts until somebody acts on it.
type Problem struct {
	ID       string    `json:"id"`              // one word, for programs
	Severity string    `json:"severity"`        // error, warning, notice
	Text     string    `json:"text"`            // what the problem is
	Advice   string    `json:"advice,omitzero"` // what to do next
	Since    time.Time `json:"since,omitzero"`  // when digestd noticed it
}

// Health returns Degraded if problems has an error or a warning, otherwise Healthy.
func Health(problems []Problem) string {
	if slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity != SeverityNotice }) {
		return Degraded
	}
	return Healthy
}
