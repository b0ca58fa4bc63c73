// SPDX-License-Identifier: Apache-2.0

package guard

// Digest is the SHA-256 of a file's content, the key under which the kernel
// looks a content up. Other algorithms never come to the guard.
type Digest [32]byte

// Counts are what the guard has counted since it was loaded.
type Counts struct {
	Checks   uint64 `json:"checks"`
	Cached   uint64 `json:"cached"`   // checks that needed no hash
	Hashed   uint64 `json:"hashed"`   // checks that did
	Missed   uint64 `json:"missed"`   // checks that the mode refuses or tells of
	Refused  uint64 `json:"refused"`  // those that were refused
	Lost     uint64 `json:"lost"`     // events for which there was no room
	Exempted uint64 `json:"exempted"` // let through because of an exemption
	Voided   uint64 `json:"voided"`   // cached digests that became void by a write
}

// Fields returns where each counter is kept, in the order that the kernel has.
func (c *Counts) Fields() []*uint64 {
	return []*uint64{&c.Checks, &c.Cached, &c.Hashed, &c.Missed, &c.Refused, &c.Lost, &c.Exempted, &c.Voided}
}
