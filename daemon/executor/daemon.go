// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"

	"github.com/digestd/digestd/store"
)

// recovered says what opening the index brought to light, "" for nothing.
func recovered(r store.Recovery) string {
	switch r.Fate {
	case store.Repaired:
		return "the index had lost its last commit, which was made again from its commit file"
	case store.RolledBack:
		return fmt.Sprintf("the index was rolled back: %d commits are lost; a copy is kept in %s", r.Lost, r.Aside)
	case store.Missing:
		return fmt.Sprintf("the index is missing; after %d commits a new one was begun: what was superseded before is forgotten, except for what is installed", r.Lost)
	case store.Damaged:
		return fmt.Sprintf("the index was damaged (%v) and is kept in %s; a new one was begun: what was superseded before is forgotten, except for what is installed", r.Cause, r.Aside)
	}
	return ""
}
