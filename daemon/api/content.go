// SPDX-License-Identifier: Apache-2.0

package api

// Content is the caller's description of the file in a question.
type Content struct {
	RealPath string // its path with links followed, "" for the path that is asked about
	Found    bool   // the file exists; if it does not, the other fields mean nothing
	Label    string // the list that security.digest_list binds it to, "" for none
	SHA256   []byte // of its content; the others may be empty
	SHA384   []byte
	SHA512   []byte
}
