// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// ErrSelfTest is wrapped by errors that say that the guard sees other contents than those that
// run. Mode enforce would then refuse everything, or nothing.
var ErrSelfTest = errors.New("the guard failed its self-test")

// SelfTest runs a content that no list has, a script in memory that does nothing, and checks
// that the guard notices it with the right digest. It consumes the waiting events and needs to
// be the only reader. A guard in mode Off is in mode Audit meanwhile.
func (s *Set) SelfTest() (err error) {
	was, err := s.Settings()
	if err != nil {
		return err
	}
	if was.Mode == guard.Off {
		during := was
		during.Mode = guard.Audit
		if err := s.SetSettings(during); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.SetSettings(was)) }()
	}
	events, err := s.Events()
	if err != nil {
		return err
	}
	defer events.Close()
	script := "#!/nonexistent/" + rand.Text() + "\n"
	want := guard.Digest(sha256.Sum256([]byte(script)))
	if err := runInMemory(script); err == nil {
		return fmt.Errorf("%w: a script without an interpreter ran", ErrSelfTest)
	}
	until := time.Now().Add(5 * time.Second)
	reason := guard.Reason(0)
	for {
		e, err := events.Next(until)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && reason == guard.Unhashed:
			return fmt.Errorf("%w: the kernel gives no SHA-256; ima_hash= on its command line may name another algorithm", ErrSelfTest)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%w: it did not notice a content that no list holds", ErrSelfTest)
		case err != nil:
			return err
		case e.Digest != nil && *e.Digest == want:
			return nil
		case e.Reason == guard.Unhashed:
			reason, until = e.Reason, time.Now().Add(time.Second/10)
		}
	}
}

// runInMemory runs a program from memory, without a file.
func runInMemory(content string) error {
	fd, err := unix.MemfdCreate("digestd-guard", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "memory")
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	return exec.Command(fmt.Sprintf("/proc/self/fd/%d", fd)).Run()
}
