// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// Kernel describes what the running kernel can do with digest lists. Answers are yes, no or
// unknown.
type Kernel struct {
	Release       string        `json:"release"`              // as uname -r prints it
	DigestCache   string        `json:"digestCache"`          // it has the Integrity Digest Cache
	DefaultPath   string        `json:"defaultPath,omitzero"` // where the Integrity Digest Cache looks for lists
	IMA           string        `json:"ima"`                  // it has IMA
	Appraisal     string        `json:"appraisal"`            // IMA can appraise files
	AppraiseMode  string        `json:"appraiseMode"`         // off, fix, log or enforce
	Appraises     string        `json:"appraises"`            // the policy in force appraises something
	AppraiseLists string        `json:"appraiseLists"`        // the policy in force appraises digest lists
	Modsig        string        `json:"modsig"`               // IMA verifies appended signatures
	Keys          string        `json:"keys,omitzero"`        // why digestd cannot use the kernel's keys
	Notifications bool          `json:"notifications"`        // it reports changes of keys
	Poll          time.Duration `json:"pollNs"`               // how often digestd reads .blacklist instead; 0 for never
	BlacklistOpen bool          `json:"blacklistOpen"`        // .blacklist takes signed entries while the kernel runs
	Blacklisted   int           `json:"blacklisted"`          // entries of .blacklist
	Keyring       string        `json:"keyring,omitzero"`     // the keyring by which IMA verifies lists: .ima or _ima
	KeyringOpen   bool          `json:"keyringOpen"`          // root may add to it
	Enrolled      bool          `json:"enrolled"`             // the keyring has the certificate that signs lists
}

// The places to which [Enrolment] can bring a certificate.
const (
	EnrolIMA  = "ima"  // the kernel's keyring for IMA, until the next boot
	EnrolMOK  = "mok"  // the machine owner's keys, through mokutil
	EnrolFile = "file" // a file from which the next boot loads it
)

// Enrolment is the result of adding the certificate that signs lists to the keys of the kernel,
// with the steps that remain.
type Enrolment struct {
	Where        string        `json:"where"`        // ima, mok, file
	Certificates []Certificate `json:"certificates"` // the one that signs, and the one prepared to follow it
	Files        []string      `json:"files"`        // paths of the certificates in DER form
	Done         []string      `json:"done"`         // what was done, for people
	Left         []string      `json:"left"`         // what remains to be done, such as a reboot, for people
}

// Retired is a list that must not come back, because its package was replaced or removed.
type Retired struct {
	Entry   string    `json:"entry"`   // its form in the kernel's .blacklist: bin: and the digest of the list without its signature
	List    string    `json:"list"`    // its name
	Package string    `json:"package"` // NEVRA
	Reason  string    `json:"reason"`  // why it was retired
	When    time.Time `json:"when"`    // when it was retired
}
