// SPDX-License-Identifier: Apache-2.0

package neighbours

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// keylimeHead is what a runtime policy has besides digests (keylime/ima/ima.py,
// RUNTIME_POLICY_SCHEMA, version 1).
type keylimeHead struct {
	Meta struct {
		Version   int    `json:"version"`
		Generator int    `json:"generator"` // 0: none that Keylime knows
		Timestamp string `json:"timestamp"`
	} `json:"meta"`
	Release  int                 `json:"release"`
	Excludes []string            `json:"excludes"`
	Keyrings map[string][]string `json:"keyrings"`
	IMA      struct {
		IgnoredKeyrings []string `json:"ignored_keyrings"`
		LogHashAlg      string   `json:"log_hash_alg"`
		DMPolicy        *string  `json:"dm_policy"` // always null
	} `json:"ima"`
	IMABuf           map[string][]string `json:"ima-buf"`
	VerificationKeys string              `json:"verification-keys"`
}

// WriteKeylime writes a Keylime runtime policy, version 1: for each path the
// digests that active lists vouch for, and no others, so that a version that was
// superseded does not attest any more. shared reports whether several lists may
// have a path; of such paths the digests are gathered before they are written. A
// path that is not UTF-8 cannot be said in JSON; skipped counts them.
func WriteKeylime(w io.Writer, files Files, shared func(path []byte) bool, now time.Time) (written, skipped int, err error) {
	head := keylimeHead{Excludes: []string{}, Keyrings: map[string][]string{}, IMABuf: map[string][]string{}}
	head.Meta.Version, head.Meta.Timestamp = 1, now.UTC().Format(time.RFC3339)
	head.IMA.IgnoredKeyrings, head.IMA.LogHashAlg = []string{}, "sha1"
	text, err := json.Marshal(head)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot write runtime policy: %w", err)
	}
	out := bufio.NewWriter(w)
	out.Write(text[:len(text)-1])
	out.WriteString(`,"digests":{`)
	put := func(path string, digests []string) error {
		name, err := json.Marshal(path)
		if err != nil {
			return err
		}
		list, err := json.Marshal(digests)
		if err != nil {
			return err
		}
		if written > 0 {
			out.WriteByte(',')
		}
		written++
		out.WriteByte('\n')
		out.Write(name)
		out.WriteByte(':')
		_, err = out.Write(list)
		return err
	}
	several := map[string][]string{}
	for f, err := range files {
		if err != nil {
			return written, skipped, fmt.Errorf("cannot write runtime policy: %w", err)
		}
		if f.SHA256 == nil || !utf8.Valid(f.Path) {
			skipped++
			continue
		}
		digest := hex.EncodeToString(f.SHA256)
		if shared(f.Path) {
			if path := string(f.Path); !slices.Contains(several[path], digest) {
				several[path] = append(several[path], digest)
			}
			continue
		}
		if err := put(string(f.Path), []string{digest}); err != nil {
			return written, skipped, fmt.Errorf("cannot write runtime policy: %w", err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(several)) {
		if err := put(path, several[path]); err != nil {
			return written, skipped, fmt.Errorf("cannot write runtime policy: %w", err)
		}
	}
	out.WriteString("}}\n")
	return written, skipped, out.Flush()
}
