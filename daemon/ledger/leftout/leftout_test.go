// SPDX-License-Identifier: Apache-2.0

package leftout_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/ledger/leftout"
	"github.com/digestd/digestd/daemon/ledger/state"
)

// Packages that nothing could be done for are told of by a problem for each reason.
func TestLeftOut(t *testing.T) {
	s := state.NewState(state.Settings{}, time.Unix(1, 0))
	var l leftout.Packages
	for _, n := range []uint32{7, 8, 9, 10} {
		l.Fail(&state.InstalledPackage{Number: n}, errors.New("torn"))
	}
	l.Unsignable = []string{"old-1-1.noarch"}
	l.Tell(s)
	texts := map[string]string{}
	for _, p := range s.Problems {
		texts[p.ID] = p.Text
	}
	want := map[string]string{
		"packages":    "4 packages could not be vouched for: header 7 of rpm's database: torn; header 8 of rpm's database: torn; header 9 of rpm's database: torn; and 1 more",
		"old-headers": "1 package without a list: its header is older than rpm 4 and has no signature: old-1-1.noarch",
	}
	if !maps.Equal(texts, want) {
		t.Errorf("told: %q", texts)
	}
	s.Log.Take()
	l.Tell(s)
	if notes := s.Log.Take(); len(notes) != 0 {
		t.Errorf("the same is logged again: %v", notes)
	}
	(&leftout.Packages{Twice: []string{"a-1-1.noarch", "b-1-1.noarch"}}).Tell(s)
	if len(s.Problems) != 1 || s.Problems[0].ID != "twice" || !strings.HasPrefix(s.Problems[0].Text, "2 packages installed twice") {
		t.Errorf("told: %+v", s.Problems)
	}
	l = leftout.Packages{}
	l.Fail(&state.InstalledPackage{Number: 7}, fmt.Errorf("cannot stage a list: %w", syscall.ENOSPC))
	l.Tell(s)
	if p := s.Problems[len(s.Problems)-1]; p.ID != "packages" || !strings.HasPrefix(p.Advice, "free space on that file system; digestd retries") {
		t.Errorf("told: %+v", s.Problems)
	}
}
