// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/digestd/digestd/integration/needs"
)

// safeBuffer is written to by the server while a test reads it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A user who repeats forbidden calls gets a few lines of the log and then a sum.
func TestRefusalsAreSummedUp(t *testing.T) {
	needs.Root(t)
	private := bustest.Start(t)
	var text safeBuffer
	s, err := serveOn(t.Context(), private.Address, &stub{}, slog.New(slog.NewTextHandler(&text, nil)), 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	user := peer{t, private.ConnectAs(nobody)}
	const calls = 60 // few enough for one window, also on a busy machine
	for i := range calls {
		if i%2 == 0 {
			user.refused("AccessDenied", "Sync")
		} else {
			user.refused("AccessDenied", "KeyRestore", "key", "reason")
		}
	}
	until(t, "the refusals are summed up", func() bool { return strings.Contains(text.String(), "more calls refused") })
	if n := strings.Count(text.String(), `msg="call refused"`); n != object.MaxRefusalsEach {
		t.Errorf("%d of %d refusals were logged, want %d:\n%s", n, calls, object.MaxRefusalsEach, text.String())
	}
	summed := calls - object.MaxRefusalsEach
	if !strings.Contains(text.String(), fmt.Sprintf("calls=%d users=1 most_uid=65534 most_calls=%d\n", summed, summed)) {
		t.Errorf("the sum is not told:\n%s", text.String())
	}
	// A later refusal is told again.
	user.refused("AccessDenied", "Sync")
	if n := strings.Count(text.String(), `msg="call refused"`); n != object.MaxRefusalsEach+1 {
		t.Errorf("%d refusals were logged after the window, want %d", n, object.MaxRefusalsEach+1)
	}
}
