// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/daemon/verify/pace"
)

// Serve reads a [verify.Spec] from in, verifies, and writes [verify.Message]s to out. It also
// ends when its input ends, because the daemon has exited then.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	debug.SetGCPercent(50)
	input := json.NewDecoder(in)
	var spec verify.Spec
	if err := input.Decode(&spec); err != nil {
		return fmt.Errorf("cannot read what to verify: %w", err)
	}
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	var pacer *pace.Pacer
	if spec.Idle {
		pace.GiveWay()
		pacer = &pace.Pacer{}
	}
	buffered := bufio.NewWriterSize(out, 64<<10)
	output := json.NewEncoder(buffered)
	flushed := time.Now()
	tell := func(m verify.Message) error {
		err := output.Encode(m)
		// One write for each unit would be one for each directory.
		if now := time.Now(); err == nil && (m.Unit == nil || len(m.Unit.Findings) > 0 || now.Sub(flushed) > beatTime) {
			flushed = now
			err = buffered.Flush()
		}
		return err
	}
	last := verify.Message{Done: true}
	if err := run(ctx, spec, pacer, tell); err != nil {
		last = verify.Message{Error: err.Error()}
	}
	return tell(last)
}
