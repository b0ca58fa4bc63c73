// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/daemon/audit"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/bpf"
)

// wayOut is named beside every refusal.
const wayOut = "digestctl guard off, or digestd.guard=off on the kernel's command line, turns the guard off"

// watcher tells of what the kernel refuses.
type watcher struct {
	events  *bpf.Events
	keeper  *protocol.Keeper
	log     *slog.Logger
	console func() (io.WriteCloser, error)
	journal *journal
	denials protocol.Log
	pace    pace // of the log
	slow    pace // of the console
}

// perMinute is how many refusals are logged in a minute: a machine on which nothing is
// listed must not fill the journal. All of them are in denials.
const perMinute = 100

// pace bounds lines in a log.
type pace struct {
	since time.Time // the minute began
	lines int       // in it
	left  int       // left out in it
}

// allow says whether one more line may be logged at a time, and how many were left out
// in a minute that is over.
func (p *pace) allow(at time.Time) (ok bool, left int) {
	if at.Sub(p.since) >= time.Minute || at.Before(p.since) {
		left = p.left
		*p = pace{since: at}
	}
	if p.lines >= perMinute {
		p.left++
		return false, left
	}
	p.lines++
	return true, left
}

// watch goes on until the events are closed.
func (w *watcher) watch() {
	for {
		e, err := w.events.Next(time.Now().Add(time.Minute))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.countLost()
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			w.log.Warn("event of the guard not read", "error", err)
			time.Sleep(time.Second) // an error that stays must not keep a processor busy
		default:
			w.tell(e, time.Now())
		}
	}
}

func (w *watcher) countLost() {
	if s, err := w.keeper.Status(); err == nil {
		w.denials.SetLost(s.Counts.Lost)
	}
}

// tell sums an event up, and logs the first of its kind.
func (w *watcher) tell(e *guard.Event, at time.Time) {
	// The first process may have wanted to start the program that shows the log.
	if e.Refused && e.Process.Parent == 1 {
		if ok, _ := w.slow.allow(at); ok {
			w.print(fmt.Sprintf("digestd-guard: refused %s of %q (%s); %s\r\n", e.Act, e.Path, e.Reason, wayOut))
		}
	}
	unit := unitOf(e.Process.PID)
	if !w.denials.Add(e, at, unit) {
		return
	}
	w.countLost()
	ok, left := w.pace.allow(at)
	if left > 0 {
		w.log.Warn("refusals not logged: there were too many; digestctl guard denials has them", "count", left)
	}
	if !ok {
		return
	}
	if r := refused(e, at, unit); !w.journal.send(r) {
		w.log.Warn(audit.Message(r), "uid", r.UID, "unit", r.Unit)
	}
}

func (w *watcher) print(line string) {
	c, err := w.console()
	if err != nil {
		return
	}
	defer c.Close()
	// A console that takes nothing must not hold events up: the write does not wait.
	_, _ = io.WriteString(c, line)
}

// openConsole opens the console without waiting for it.
func openConsole() (io.WriteCloser, error) {
	fd, err := unix.Open("/dev/console", unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return rawFile(fd), nil
}

// rawFile is a descriptor whose writes never wait for the poller.
type rawFile int

func (f rawFile) Write(b []byte) (int, error) { return unix.Write(int(f), b) }
func (f rawFile) Close() error                { return unix.Close(int(f)) }

// unitOf returns the unit of systemd that a process belongs to, "" if it is gone or
// belongs to none.
func unitOf(pid uint32) string {
	f, err := os.Open("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/cgroup")
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 8192))
	if err != nil {
		return ""
	}
	return unitIn(string(data))
}

// unitIn finds the unit in the text of /proc/PID/cgroup: the last directory of the unified
// hierarchy that is named as one.
func unitIn(text string) string {
	for line := range strings.Lines(text) {
		group, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "0::")
		for ; ok && group != "/" && group != "."; group = path.Dir(group) {
			switch path.Ext(group) {
			case ".service", ".scope", ".socket", ".mount", ".swap":
				return path.Base(group)
			}
		}
	}
	return ""
}
