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
	SeverityError   = "error"   // something is not vouched for, or was forgotten
	SeverityWarning = "warning" // something will go wrong
	SeverityNotice  = "notice"  // good to know; no cause to act
)

// Problem is something that lasts until somebody acts on it.
type Problem struct {
	ID       string    `json:"id"`              // one word, for programs
	Severity string    `json:"severity"`        // error, warning, notice
	Text     string    `json:"text"`            // what is so
	Advice   string    `json:"advice,omitzero"` // what to do next
	Since    time.Time `json:"since,omitzero"`  // when it was noticed
}

// Health judges a daemon by its problems: Degraded if there is an error or a
// warning among them.
func Health(problems []Problem) string {
	if slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity != SeverityNotice }) {
		return Degraded
	}
	return Healthy
}
