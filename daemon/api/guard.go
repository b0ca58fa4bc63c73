// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// The modes of the guard.
const (
	GuardOff     = "off"
	GuardAudit   = "audit"
	GuardEnforce = "enforce"
	GuardUnknown = "unknown" // digestd-guard does not answer
)

// Guard describes the guard in the kernel.
type Guard struct {
	Mode     string           `json:"mode"`            // off, audit, enforce, or unknown where digestd-guard does not answer
	Wanted   string           `json:"wanted"`          // the mode that the owner configured
	Why      string           `json:"why,omitzero"`    // why mode differs from wanted
	Doubt    string           `json:"doubt,omitzero"`  // why the guard can enforce nothing
	Trial    time.Duration    `json:"trial,omitzero"`  // time until the trial of mode enforce ends, in nanoseconds
	Strict   bool             `json:"strict"`          // mapped libraries cannot be opened for writing
	Modules  string           `json:"modules"`         // the mode for modules, firmware and kexec images
	Commit   uint64           `json:"commit"`          // commit of the index that its digests reflect; 0: unknown
	Digests  int              `json:"digests"`         // contents that may run
	Counts   GuardCounts      `json:"counts"`          // since the guard was loaded
	Hours    []GuardHour      `json:"hours,omitzero"`  // hours with refusals, the latest last
	Start    string           `json:"start,omitzero"`  // why the guard could not use its snapshot when the machine started
	Doubts   uint64           `json:"doubts,omitzero"` // times since digestd-guard started that its self-test, its snapshot or a check ruled out mode enforce
	Exempt   []GuardExemption `json:"exempt,omitzero"` // cgroups whose containers run files that no list has, or that were refused this
	Verified uint32           `json:"verified"`        // instructions that the kernel's verifier processed
}

// GuardExemption is a cgroup whose containers may run files that no list has.
type GuardExemption struct {
	Name    string `json:"name"`             // path below the root of the cgroup tree, without a leading slash
	Forced  string `json:"forced,omitzero"`  // the owner's reason for an exemption by force
	Refused string `json:"refused,omitzero"` // why it is not exempt
}

// GuardCounts are the guard's counters since it was loaded.
type GuardCounts struct {
	Checks   uint64 `json:"checks"`
	Cached   uint64 `json:"cached"`   // checks that needed no hash
	Hashed   uint64 `json:"hashed"`   // checks that needed a hash
	Missed   uint64 `json:"missed"`   // checks that failed: mode enforce refuses the file
	Refused  uint64 `json:"refused"`  // failed checks that were refused
	Lost     uint64 `json:"lost"`     // refusals that were not recorded, for lack of room
	Dropped  uint64 `json:"dropped"`  // summaries of refusals that made room for later ones
	Exempted uint64 `json:"exempted"` // checks that passed because of an exemption
	Voided   uint64 `json:"voided"`   // known digests that a write made invalid
}

// GuardHour counts the failed checks of one hour.
type GuardHour struct {
	Start   time.Time `json:"start"`
	Refused uint64    `json:"refused"`
	Allowed uint64    `json:"allowed"` // mode enforce would have refused them
}

// GuardDenial sums up failed checks with the same digest, act and reason, whether the guard
// refused them or, in mode audit, let them pass. The other fields describe the latest of them.
type GuardDenial struct {
	First   time.Time    `json:"first"`            // when the first one happened
	Last    time.Time    `json:"last"`             // when the latest one happened
	Count   uint64       `json:"count"`            // how often
	Refused uint64       `json:"refused"`          // how many were refused; the others passed
	Act     string       `json:"act"`              // exec, map, mprotect, kernel-read, kernel-load, write
	Reason  string       `json:"reason"`           // unlisted, unhashed, written, unstable, unknown, no-memory, in-use, too-large, no-file
	Digest  string       `json:"digest,omitzero"`  // SHA-256 of the content, where it is known
	Path    string       `json:"path,omitzero"`    // as the process saw it
	RawPath []byte       `json:"rawPath,omitzero"` // the bytes, when they are not UTF-8
	File    GuardFile    `json:"file"`             // which file it was
	By      GuardProcess `json:"by"`               // the process that used the file
	Why     GuardWhy     `json:"why"`              // why no list allows it
}

// GuardFile names a file while its file system is mounted.
type GuardFile struct {
	Device uint32 `json:"device"` // as the kernel has it: major << 20 | minor
	Inode  uint64 `json:"inode"`
}

// GuardProcess is the process that used a file.
type GuardProcess struct {
	PID     uint32 `json:"pid"`
	Parent  uint32 `json:"parent"`
	UID     uint32 `json:"uid"`
	Command string `json:"command"`       // name of its thread, up to 15 bytes, which the process chooses
	Unit    string `json:"unit,omitzero"` // its unit of the service manager
}

// GuardWhy explains why the guard does not let a content run.
type GuardWhy struct {
	Verdict string   `json:"verdict,omitzero"` // as in Why, of the lists as they are now
	Text    string   `json:"text"`             // for people
	Reasons []string `json:"reasons,omitzero"` // as in Why
	Owner   string   `json:"owner,omitzero"`   // NEVRA of the package that the path belongs to
	Advice  string   `json:"advice,omitzero"`  // what to do next
}

// GuardVerdict predicts what the guard would do with a file now.
type GuardVerdict struct {
	Mode   string `json:"mode"`   // as in Guard
	Listed bool   `json:"listed"` // its digest is among those that may run
	Runs   bool   `json:"runs"`   // the guard would let it run
	Text   string `json:"text"`   // the same, for people
}

// GuardCandidate is a refused content, and whether it may be learned.
type GuardCandidate struct {
	Denial    GuardDenial `json:"denial"`
	Learnable bool        `json:"learnable"`       // it may be added to an own list
	Text      string      `json:"text"`            // why or why not, for people
	Advice    string      `json:"advice,omitzero"` // what to do instead
	UID       uint32      `json:"uid"`             // owner of the file
	Mode      uint32      `json:"mode"`            // of the file, as chmod(1) has it
	Exists    bool        `json:"exists"`          // there is a regular file at the path
}

// MaxLearn is the most contents that one request learns.
const MaxLearn = 512
