// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A user may have many numbers: in a namespace of his own, 65536.
func TestRefusalsOfManyUsers(t *testing.T) {
	var text bytes.Buffer
	r := newRefusals(slog.New(slog.NewTextHandler(&text, nil)), time.Minute)
	for round := range uint32(10) {
		for uid := range uint32(10_000) {
			r.note(100_000+uid, "call refused", "round", round)
		}
	}
	if n := strings.Count(text.String(), "\n"); n != maxRefusals {
		t.Errorf("%d lines, want %d", n, maxRefusals)
	}
	if n := len(r.users); n > maxRefusingUsers {
		t.Errorf("%d users are remembered, want at most %d", n, maxRefusingUsers)
	}
	text.Reset()
	r.end()
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "calls=99950") {
		t.Errorf("summed up as %q", got)
	}
	r.end()
	if got := text.String(); strings.Count(got, "\n") != 1 {
		t.Errorf("summed up again: %q", got)
	}
}
