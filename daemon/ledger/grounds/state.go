// SPDX-License-Identifier: Apache-2.0

package grounds

// ProblemIndexLost stands until somebody acknowledges that what was superseded is
// forgotten.
const ProblemIndexLost = "index-lost"
