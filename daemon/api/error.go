// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// Code is the kind of an error.
type Code string

// The codes. Each is also the last part of a D-Bus error name.
const (
	NotFound        Code = "NotFound"
	InvalidArgument Code = "InvalidArgument"
	AccessDenied    Code = "AccessDenied"
	Failed          Code = "Failed"
	Busy            Code = "Busy"
	Unchanged       Code = "Unchanged" // there was nothing to change
)

// errorPrefix begins the D-Bus names of our errors.
const errorPrefix = BusName + ".Error."

// Error is an error that crosses the bus with all its parts.
type Error struct {
	Code    Code   `json:"code"`            // NotFound, InvalidArgument, AccessDenied, Busy, Failed, Unchanged
	Message string `json:"message"`         // what went wrong
	Advice  string `json:"advice,omitzero"` // what to do next
}

// Errorf makes an Error without advice.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// DBusError makes godbus send e under its own name. The body is the message, followed by the
// advice if there is any.
func (e *Error) DBusError() (name string, body []any) {
	body = []any{Clean(e.Message)}
	if e.Advice != "" {
		body = append(body, Clean(e.Advice))
	}
	return errorPrefix + string(e.Code), body
}

// AsError returns the [Error] in err's chain, or a new one with the code Failed.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Failed, Message: err.Error(), Advice: DiskAdvice(err)}
}

// DiskAdvice says what to do about an error of a file system that takes no writes, "" for
// any other error. The text of the error names the path, and its end the cause, also where
// the text is all that is left of the error.
func DiskAdvice(err error) string {
	is := func(cause syscall.Errno) bool {
		return errors.Is(err, cause) || strings.HasSuffix(err.Error(), cause.Error())
	}
	switch {
	case is(syscall.ENOSPC), is(syscall.EDQUOT):
		return "free space on that file system"
	case is(syscall.EROFS):
		return "find out why that file system is read-only (see dmesg), then make it writable: mount -o remount,rw"
	}
	return ""
}

// FromDBus returns the [Error] that a D-Bus error carries. It returns any other err unchanged.
func FromDBus(err error) error {
	var d dbus.Error
	if !errors.As(err, &d) {
		return err
	}
	code, ok := strings.CutPrefix(d.Name, errorPrefix)
	if !ok {
		return err
	}
	e := &Error{Code: Code(code)}
	if len(d.Body) > 0 {
		e.Message, _ = d.Body[0].(string)
	}
	if len(d.Body) > 1 {
		e.Advice, _ = d.Body[1].(string)
	}
	return e
}
