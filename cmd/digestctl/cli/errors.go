// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
)

// The exit codes. Their numbers never change.
const (
	ExitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	ExitBad         = 3
	ExitNoFile      = 4
	exitDenied      = 5
	exitUnreachable = 6
	exitUnchanged   = 7
)

// ExitCodes are the exit codes with their descriptions in the manual.
var ExitCodes = []struct {
	Code    int
	Meaning string
}{
	{ExitOK, "Success: the file is vouched for, or there is no problem."},
	{exitFailed, "Failure: digestd could not do it, was interrupted, is busy or did not answer in time."},
	{exitUsage, "Wrong usage: the command line or an argument is malformed."},
	{ExitBad, "Success, but the answer is bad: a file is not vouched for, a problem needs attention, or there is nothing of that name."},
	{ExitNoFile, "There is no such file (`why`, `verify`, `fix`, `deny`)."},
	{exitDenied, "Permission denied: only root, and users whom polkit authorizes, may do that."},
	{exitUnreachable, "digestctl cannot reach digestd or the bus."},
	{exitUnchanged, "Nothing was changed: the requested state is already in force."},
}

// usageError is an error in the command line.
type usageError struct {
	error
	command string // the command whose help explains the usage
}

// Usage returns an error about the command line; its advice names the help of the command.
func Usage(err error, command string) error { return usageError{err, command} }

func (e usageError) Unwrap() error { return e.error }

func (e usageError) advice() string {
	// cobra appends suggestions, each on a line that begins with a tab.
	_, suggestions, _ := strings.Cut(e.Error(), "\n\t")
	if first, _, _ := strings.Cut(suggestions, "\n"); first != "" {
		return "did you mean " + e.command + " " + first + "?"
	}
	return "see " + e.command + " --help"
}

// Absent means that a program other than digestd does not answer.
type Absent struct {
	Err    error
	Advice string // how to start it
}

func (e *Absent) Error() string { return e.Err.Error() }
func (e *Absent) Unwrap() error { return e.Err }

// Trouble is the answer of a verb that failed: the error, and what to do next.
type Trouble struct {
	Error api.Error `json:"error"`
	Exit  int       `json:"-"`
}

// usualAdvice is the advice for errors that carry none.
var usualAdvice = map[api.Code]string{
	api.AccessDenied: "run it with sudo",
	api.Busy:         "try again later",
	api.Failed:       "see its log: journalctl -u digestd",
}

// Explain returns the text, advice and exit code of an error.
func Explain(err error) Trouble {
	var (
		usage       usageError
		ours        *api.Error
		unreachable *client.Unreachable
		noFile      userfile.NoFileError
		absent      *Absent
	)
	t := func(exit int, code api.Code, message, advice string) Trouble {
		return Trouble{Error: api.Error{Code: code, Message: message, Advice: advice}, Exit: exit}
	}
	switch {
	case errors.As(err, &usage):
		message, _, _ := strings.Cut(err.Error(), "\n")
		return t(exitUsage, "Usage", message, usage.advice())
	case errors.As(err, &unreachable) && unreachable.Bus != "":
		return t(exitUnreachable, "Unreachable", err.Error(), "check that D-Bus is running: systemctl status dbus")
	case errors.As(err, &unreachable):
		return t(exitUnreachable, "Unreachable", err.Error(), "start it: systemctl start digestd")
	case errors.As(err, &ours):
		exit := exitFailed
		switch ours.Code {
		case api.NotFound:
			exit = ExitBad
		case api.InvalidArgument:
			exit = exitUsage
		case api.AccessDenied:
			exit = exitDenied
		case api.Unchanged:
			exit = exitUnchanged
		}
		told := *ours
		told.Advice = cmp.Or(told.Advice, usualAdvice[told.Code])
		return Trouble{Error: told, Exit: exit}
	case errors.As(err, &absent) && errors.Is(err, fs.ErrPermission):
		return t(exitDenied, api.AccessDenied, err.Error(), "run it with sudo")
	case errors.As(err, &absent):
		return t(exitUnreachable, "Unreachable", err.Error(), absent.Advice)
	case errors.As(err, &noFile):
		return t(ExitNoFile, api.NotFound, err.Error(), "")
	case errors.Is(err, context.Canceled):
		return t(exitFailed, api.Failed, "interrupted", "")
	case errors.Is(err, context.DeadlineExceeded):
		return t(exitFailed, api.Failed, "digestd did not answer in time", "see its log: journalctl -u digestd")
	}
	return explainBus(err)
}

// explainBus explains the errors of the bus itself.
func explainBus(err error) Trouble {
	t := Trouble{Error: api.Error{Code: api.Failed, Message: err.Error()}, Exit: exitFailed}
	switch client.BusError(err) {
	case "AccessDenied":
		t.Error = api.Error{Code: api.AccessDenied, Message: "the bus denies access: " + err.Error(), Advice: "run it with sudo"}
		t.Exit = exitDenied
	case "UnknownMethod", "InvalidArgs":
		t.Error.Advice = "digestctl and digestd differ in version; compare: digestctl version"
	case "NoReply", "Timeout", "TimedOut":
		t.Error.Message = "digestd did not answer: " + err.Error()
		t.Error.Advice = "see its log: journalctl -u digestd"
	}
	return t
}
