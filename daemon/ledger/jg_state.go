// SPDX-License-Identifier: Apache-2.0

package ledger

// ProblemIndexLost stands until somebody acknowledges that what was superseded is
// forgotten.
const ProblemIndexLost = "index-lost"
