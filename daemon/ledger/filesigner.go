// SPDX-License-Identifier: Apache-2.0

package ledger

// MetaSigned is set in the index while files may bear signatures of ours.
const MetaSigned = "ima-signatures"
