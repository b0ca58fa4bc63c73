// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// onTerminalCommand runs digestctl on a terminal of its own, and takes what that
// would show for standard output:
//
//	onterminal COLUMNS ARGUMENT...
func onTerminalCommand(ts *testscript.TestScript, neg bool, args []string) {
	columns, err := strconv.ParseUint(args[0], 10, 16)
	ts.Check(err)
	screen, terminal, err := OpenTerminal(uint16(columns))
	ts.Check(err)
	defer screen.Close()
	path, err := exec.LookPath("digestctl")
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	for _, name := range []string{"DBUS_SYSTEM_BUS_ADDRESS", "TERM", "GOCOVERDIR", "NO_COLOR", "TZ", "DIGESTCTL_PROGRESS"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	ts.Check(cmd.Start())
	terminal.Close()
	// A terminal that nobody writes to any more answers with EIO.
	shown, _ := io.ReadAll(screen)
	err = cmd.Wait()
	fmt.Fprint(ts.Stdout(), strings.ReplaceAll(string(shown), "\r\n", "\n"))
	if (err != nil) != neg {
		ts.Fatalf("digestctl ended with %v", err)
	}
}

// OpenTerminal opens a pseudo-terminal: what is shown, and what programs use.
func OpenTerminal(columns uint16) (screen, terminal *os.File, err error) {
	screen, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: columns}); err != nil {
		return nil, nil, err
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	return screen, terminal, err
}
