// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Argument makes the daemon's program serve as the process that verifies.
const Argument = "verify-worker"

// program is the one that runs now, even if the file was replaced meanwhile.
const program = "/proc/self/exe"

// Run verifies in a process of its own and returns when it has ended. Calls of
// hear come one at a time; an error of it ends the run.
func Run(ctx context.Context, spec Spec, hear func(Message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, Argument)
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 10 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot verify: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("cannot verify: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot verify: %w", err)
	}
	err = converse(spec, in, out, hear)
	if err != nil {
		cancel()
	}
	in.Close()
	werr := cmd.Wait()
	switch {
	case ctx.Err() != nil && err == nil, err == nil && werr == nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("cannot verify: the process that does it ended: %w", errors.Join(werr, ctx.Err()))
	}
	return err
}

// converse passes spec on and hears messages until the last.
func converse(spec Spec, in io.Writer, out io.Reader, hear func(Message) error) error {
	if err := json.NewEncoder(in).Encode(spec); err != nil {
		return fmt.Errorf("cannot verify: %w", err)
	}
	for messages := json.NewDecoder(bufio.NewReaderSize(out, 64<<10)); ; {
		var m Message
		if err := messages.Decode(&m); err != nil {
			return err
		}
		switch {
		case m.Error != "":
			return errors.New(m.Error)
		case m.Done:
			return nil
		}
		if err := hear(m); err != nil {
			return err
		}
	}
}

// Serve is the process that verifies: it reads a Spec and writes Messages. When
// its input ends, whoever wanted it has gone, and so does it.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	debug.SetGCPercent(50)
	input := json.NewDecoder(in)
	var spec Spec
	if err := input.Decode(&spec); err != nil {
		return fmt.Errorf("cannot read what to verify: %w", err)
	}
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	var pace *pacer
	if spec.Idle {
		giveWay()
		pace = &pacer{}
	}
	buffered := bufio.NewWriterSize(out, 64<<10)
	output := json.NewEncoder(buffered)
	flushed := time.Now()
	tell := func(m Message) error {
		err := output.Encode(m)
		// Each unit by itself would be a write a directory.
		if now := time.Now(); err == nil && (m.Unit == nil || len(m.Unit.Findings) > 0 || now.Sub(flushed) > beatTime) {
			flushed = now
			err = buffered.Flush()
		}
		return err
	}
	last := Message{Done: true}
	if err := verify(ctx, spec, pace, tell); err != nil {
		last = Message{Error: err.Error()}
	}
	return tell(last)
}

// schedSetIdle makes a thread run only when no other wants to.
func schedSetIdle(thread int) {
	param := struct{ priority int32 }{}
	unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(thread), schedIdle, uintptr(unsafe.Pointer(&param)))
}
