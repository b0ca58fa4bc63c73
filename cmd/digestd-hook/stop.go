// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// gone bounds waiting for zypper to end by one signal.
const gone = time.Second

// program is a process that runs this one, held so that no other can get its number.
type program struct{ pid, fd int }

// parentNamed holds the parent of this process if it runs a program of that name.
// PackageKit and others use libzypp, too: ending those would end more than one
// transaction.
func parentNamed(name string) (*program, error) {
	p := &program{pid: os.Getppid()}
	var err error
	if p.fd, err = unix.PidfdOpen(p.pid, 0); err != nil {
		return nil, fmt.Errorf("cannot open process %d: %w", p.pid, err)
	}
	// The number is the parent's still: it is held now, and this process has not been given another.
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.pid))
	if err == nil && os.Getppid() != p.pid {
		err = unix.ESRCH
	}
	if err == nil && filepath.Base(exe) != name {
		err = fmt.Errorf("%s is not %s", exe, name)
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("cannot end process %d: %w", p.pid, err)
	}
	return p, nil
}

func (p *program) close() { unix.Close(p.fd) }

// say writes to the standard error of the program, whose own this process has not.
func (p *program) say(text string) error {
	fd, err := unix.PidfdGetfd(p.fd, 2, 0)
	if err != nil {
		// A system policy may keep file descriptors of others away, but not the file.
		fd, err = unix.Open(fmt.Sprintf("/proc/%d/fd/2", p.pid), unix.O_WRONLY|unix.O_APPEND|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return fmt.Errorf("cannot write to the terminal of process %d: %w", p.pid, err)
	}
	defer unix.Close(fd)
	// Nobody may read a pipe there, which must not make this process wait.
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(ready, int(gone.Milliseconds())); err != nil || n == 0 {
		return errors.Join(errors.New("cannot write to the terminal: nobody reads"), err)
	}
	_, err = unix.Write(fd, []byte(text))
	return err
}

// end ends the program at once. zypper takes SIGINT and SIGTERM as a wish, and goes
// on to the next point at which it looks, which for some releases is after the
// transaction; it does not expect SIGHUP. Before the transaction has begun, nothing
// is left half done by that.
func (p *program) end() error {
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(p.fd, s, nil, 0); err != nil {
			return fmt.Errorf("cannot end process %d: %w", p.pid, err)
		}
		ended := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(ended, int(gone.Milliseconds())); err == nil && n > 0 {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end", p.pid)
}

// endZypper says why, and ends the zypper that runs this process. rpm's plugin handles
// transactions of other programs.
func endZypper(why []string) {
	text := strings.Join(why, "\n") + "\n"
	p, err := parentNamed("zypper")
	if err != nil {
		fmt.Fprint(os.Stderr, text, "digestd-hook: ", err, "\n") // which libzypp logs
		return
	}
	defer p.close()
	err = p.say("\n" + text + "digestd: zypper is stopped before it changes anything.\n")
	err = errors.Join(err, p.end())
	if err != nil {
		fmt.Fprint(os.Stderr, text, "digestd-hook: ", err, "\n")
	}
}
