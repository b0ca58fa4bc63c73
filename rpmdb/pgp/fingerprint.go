// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"encoding/hex"
	"strings"
)

// ParseFingerprint reads the fingerprint of a version 4 or 6 key, with or without spaces,
// and returns it in lower case, or "".
func ParseFingerprint(text string) string {
	p := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(strings.TrimSpace(text), " ", ""), "0x"))
	if _, err := hex.DecodeString(p); err != nil || len(p) != 40 && len(p) != 64 {
		return ""
	}
	return p
}
