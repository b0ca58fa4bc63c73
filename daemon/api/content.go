// SPDX-License-Identifier: Apache-2.0

package api

// Content is what a caller says of a file that a question is about.
type Content struct {
	RealPath string // its path with links followed, "" for the path that is asked about
	Found    bool   // there is a file; nothing below counts otherwise
	Label    string // the list that security.digest_list binds it to, "" for none
	SHA256   []byte // of its content; the others may be empty
	SHA384   []byte
	SHA512   []byte
}
