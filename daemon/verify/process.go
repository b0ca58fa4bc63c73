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
	"time"
)

// Argument makes the daemon's program run as the process that verifies.
const Argument = "verify-worker"

// program is the running program, even if its file was replaced meanwhile.
const program = "/proc/self/exe"

// Run verifies in a separate process and returns when it has ended. It calls hear for each
// message, one at a time; an error of hear ends the run.
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

// converse sends spec and receives messages until the last.
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
