// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// planned is what an import does about one denial.
type planned struct {
	action string
	policy.Denial
	record record.Denial
}
