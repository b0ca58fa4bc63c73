// SPDX-License-Identifier: Apache-2.0

package guard

// Digest is the SHA-256 digest of a file's content, by which the kernel looks a content up. The
// guard uses no other algorithm.
type Digest [32]byte

// Counts are the guard's counters since it was loaded.
type Counts struct {
	Checks   uint64 `json:"checks"`
	Cached   uint64 `json:"cached"`   // checks that needed no hash
	Hashed   uint64 `json:"hashed"`   // checks that needed a hash
	Missed   uint64 `json:"missed"`   // checks that failed: mode Enforce refuses the file
	Refused  uint64 `json:"refused"`  // failed checks that were refused
	Lost     uint64 `json:"lost"`     // events that were not recorded, for lack of room
	Exempted uint64 `json:"exempted"` // checks that passed because of an exemption
	Voided   uint64 `json:"voided"`   // cached digests that a write made invalid
}

// Fields returns pointers to the counters in the kernel's order.
func (c *Counts) Fields() []*uint64 {
	return []*uint64{&c.Checks, &c.Cached, &c.Hashed, &c.Missed, &c.Refused, &c.Lost, &c.Exempted, &c.Voided}
}
