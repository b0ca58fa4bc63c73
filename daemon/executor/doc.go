// SPDX-License-Identifier: Apache-2.0

// Package executor lets one event at a time into the ledger, and carries out the plan
// that it leaves: nothing else publishes, withdraws or commits. It also reads of the list
// directory what the ledger is to compare, and hands readers the view they see.
package executor
