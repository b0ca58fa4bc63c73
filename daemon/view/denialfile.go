// SPDX-License-Identifier: Apache-2.0

package view

import (
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Planned is what an import does about one denial.
type Planned struct {
	Action string
	policy.Denial
	Record record.Denial
}
