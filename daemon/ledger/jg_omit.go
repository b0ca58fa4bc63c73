// SPDX-License-Identifier: Apache-2.0

package ledger

const Emptied = "its list would be empty"
