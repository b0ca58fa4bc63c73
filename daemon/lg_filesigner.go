// SPDX-License-Identifier: Apache-2.0

package daemon

// metaSigned is set in the index while files may bear signatures of ours.
const metaSigned = "ima-signatures"
