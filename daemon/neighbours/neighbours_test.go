// SPDX-License-Identifier: Apache-2.0

package neighbours_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/neighbours"
	"github.com/google/go-cmp/cmp"
)

func files(paths ...string) neighbours.Files {
	return func(yield func(neighbours.File, error) bool) {
		for i, p := range paths {
			if !yield(neighbours.File{Path: []byte(p), Size: int64(i), SHA256: bytes.Repeat([]byte{byte(i)}, 32)}, nil) {
				return
			}
		}
	}
}

func failing(yield func(neighbours.File, error) bool) {
	yield(neighbours.File{}, errors.New("disk gone"))
}

var hostile = []string{"/usr/bin/tool", "/with blank", "/with\ttab", "/new\n/usr/bin/evil 1 00", "# /comment", "", "/del\x7f", "/\xff\xfe", `/quote"\`}

func TestTrustSaysOnlyWhatItCan(t *testing.T) {
	var out strings.Builder
	written, skipped, err := neighbours.WriteTrust(&out, files(hostile...))
	if err != nil || written != 3 || skipped != 6 {
		t.Errorf("%d written, %d skipped, %v", written, skipped, err)
	}
	want := "# Files that digestd vouches for; written again whenever that changes.\n" +
		"/usr/bin/tool 0 " + strings.Repeat("00", 32) + "\n" +
		"/\xff\xfe 7 " + strings.Repeat("07", 32) + "\n" +
		"/quote\"\\ 8 " + strings.Repeat("08", 32) + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestKeylimeGathersSharedPaths(t *testing.T) {
	var out bytes.Buffer
	shared := func(path []byte) bool { return string(path) == "/both" }
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	written, skipped, err := neighbours.WriteKeylime(&out, files(append([]string{"/both", "/one", "/both"}, hostile...)...), shared, now)
	if err != nil || skipped != 1 {
		t.Errorf("%d skipped, %v", skipped, err)
	}
	var policy struct {
		Meta    struct{ Timestamp string }
		Digests map[string][]string
	}
	if err := json.Unmarshal(out.Bytes(), &policy); err != nil {
		t.Fatal(err)
	}
	if n := len(policy.Digests); n != written || n != 10 {
		t.Errorf("%d paths, %d written", n, written)
	}
	if diff := cmp.Diff([]string{strings.Repeat("00", 32), strings.Repeat("02", 32)}, policy.Digests["/both"]); diff != "" {
		t.Error(diff)
	}
	if policy.Meta.Timestamp != "2026-01-02T03:04:05Z" {
		t.Errorf("made at %s", policy.Meta.Timestamp)
	}
}

func TestFailureIsNoEnd(t *testing.T) {
	if _, _, err := neighbours.WriteTrust(&bytes.Buffer{}, failing); err == nil {
		t.Error("a list that cannot be read ends the file of trusted files as if all were there")
	}
	if _, _, err := neighbours.WriteKeylime(&bytes.Buffer{}, failing, func([]byte) bool { return false }, time.Time{}); err == nil {
		t.Error("a list that cannot be read ends the policy as if all were there")
	}
}
