// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// The states of the index with regard to its anchor, and of a decision.
const (
	AnchorNone        = "none"        // there is no anchor
	AnchorDone        = "anchored"    // an older index would be noticed
	AnchorPending     = "pending"     // not anchored yet
	AnchorUnreachable = "unreachable" // the TPM does not answer, or its counter cannot be used
	AnchorOlder       = "older"       // the counter knows of a later index
	AnchorOther       = "other"       // the TPM does not have the counter that the index was bound to
)

// Anchor is the counter outside of the index, and how the index compares with it.
type Anchor struct {
	Where    string    `json:"where"`            // as the configuration names it; off
	Standing string    `json:"standing"`         // none, anchored, pending, unreachable, older, other
	Bound    bool      `json:"bound"`            // the index is bound to a counter
	Counter  string    `json:"counter,omitzero"` // the name of that counter, hexadecimal
	Epoch    uint64    `json:"epoch,omitzero"`   // of the index
	Value    uint64    `json:"value,omitzero"`   // of the counter, as it was read last
	Read     time.Time `json:"read,omitzero"`    // when the value was read
	Since    time.Time `json:"since,omitzero"`   // when the index was bound to the counter
	Due      bool      `json:"due,omitzero"`     // digestd decided something since the epoch began
	Text     string    `json:"text,omitzero"`    // why the TPM or its counter is unreachable
}
