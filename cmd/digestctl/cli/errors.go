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

// The exit codes; ExitCodes is their promise.
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

// ExitCodes is what the manual says of them.
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

// usageError is a command line that makes no sense.
type usageError struct {
	error
	command string // whose help says what does
}

// Usage makes an error of what is wrong with a command line; the help of the command
// says what is right.
func Usage(err error, command string) error { return usageError{err, command} }

func (e usageError) Unwrap() error { return e.error }

func (e usageError) advice() string {
	// cobra appends suggestions on lines of their own, after a tab each.
	_, suggestions, _ := strings.Cut(e.Error(), "\n\t")
	if first, _, _ := strings.Cut(suggestions, "\n"); first != "" {
		return "did you mean " + e.command + " " + first + "?"
	}
	return "see " + e.command + " --help"
}

// Absent is an error about a program besides digestd that does not answer.
type Absent struct {
	Err    error
	Advice string // what starts it
}

func (e *Absent) Error() string { return e.Err.Error() }
func (e *Absent) Unwrap() error { return e.Err }

// Trouble is the answer of a verb that failed: the error, and what to do next.
type Trouble struct {
	Error api.Error `json:"error"`
	Exit  int       `json:"-"`
}

// usualAdvice is what to do after an error whose cause came without advice.
var usualAdvice = map[api.Code]string{
	api.AccessDenied: "run it with sudo",
	api.Busy:         "try again later",
	api.Failed:       "see its log: journalctl -u digestd",
}

// Explain turns whatever went wrong into words and an exit code. Reasons come
// from where they are known; advice is given here, where the user is known.
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

// explainBus explains the errors that the bus itself answers with, and others by
// their words alone.
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
