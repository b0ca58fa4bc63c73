// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// Each error has words, an exit code and, where there is any, advice.
func TestExplain(t *testing.T) {
	remote := func(name, text string) error {
		return dbus.Error{Name: "org.freedesktop.DBus.Error." + name, Body: []any{text}}
	}
	wrapped := func(err error) error { return fmt.Errorf("cannot do it: %w", err) }
	for what, tc := range map[string]struct {
		err  error
		want Trouble
	}{
		"usage": {Usage(errors.New("show needs PACKAGE"), "digestctl show"),
			Trouble{api.Error{Code: "Usage", Message: "show needs PACKAGE", Advice: "see digestctl show --help"}, 2}},
		"typing error": {Usage(errors.New("unknown command \"statsu\"\n\nDid you mean this?\n\tstatus\n\tshow\n"), "digestctl"),
			Trouble{api.Error{Code: "Usage", Message: `unknown command "statsu"`, Advice: "did you mean digestctl status?"}, 2}},
		"no bus": {&client.Unreachable{Bus: "unix:path=/x", Reason: errors.New("no such file")},
			Trouble{api.Error{Code: "Unreachable", Message: "cannot reach D-Bus at unix:path=/x: no such file", Advice: "check that D-Bus is running: systemctl status dbus"}, 6}},
		"no digestd": {&client.Unreachable{},
			Trouble{api.Error{Code: "Unreachable", Message: "cannot reach digestd: it is not on the bus", Advice: "start it: systemctl start digestd"}, 6}},
		"not found":   {&api.Error{Code: api.NotFound, Message: "m", Advice: "a"}, Trouble{api.Error{Code: api.NotFound, Message: "m", Advice: "a"}, 3}},
		"invalid":     {&api.Error{Code: api.InvalidArgument, Message: "m"}, Trouble{api.Error{Code: api.InvalidArgument, Message: "m"}, 2}},
		"denied":      {&api.Error{Code: api.AccessDenied, Message: "m"}, Trouble{api.Error{Code: api.AccessDenied, Message: "m", Advice: "run it with sudo"}, 5}},
		"already so":  {&api.Error{Code: api.Unchanged, Message: "m"}, Trouble{api.Error{Code: api.Unchanged, Message: "m"}, 7}},
		"busy":        {&api.Error{Code: api.Busy, Message: "m"}, Trouble{api.Error{Code: api.Busy, Message: "m", Advice: "try again later"}, 1}},
		"no file":     {wrapped(userfile.NoFile(errors.New("there is no file x"))), Trouble{api.Error{Code: api.NotFound, Message: "cannot do it: there is no file x"}, 4}},
		"interrupted": {wrapped(context.Canceled), Trouble{api.Error{Code: api.Failed, Message: "interrupted"}, 1}},
		"too late": {wrapped(context.DeadlineExceeded),
			Trouble{api.Error{Code: api.Failed, Message: "digestd did not answer in time", Advice: "see its log: journalctl -u digestd"}, 1}},
		"bus refuses": {remote("AccessDenied", "rejected"),
			Trouble{api.Error{Code: api.AccessDenied, Message: "the bus denies access: rejected", Advice: "run it with sudo"}, 5}},
		"another version": {remote("UnknownMethod", "none"),
			Trouble{api.Error{Code: api.Failed, Message: "none", Advice: "digestctl and digestd differ in version; compare: digestctl version"}, 1}},
		"no reply": {remote("NoReply", "silence"),
			Trouble{api.Error{Code: api.Failed, Message: "digestd did not answer: silence", Advice: "see its log: journalctl -u digestd"}, 1}},
		"anything else": {errors.New("disk on fire"), Trouble{api.Error{Code: api.Failed, Message: "disk on fire"}, 1}},
	} {
		if diff := cmp.Diff(tc.want, Explain(tc.err)); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
}

// A group that is called without a verb, or with a wrong one, names those it has.
func TestGroup(t *testing.T) {
	run := func(*cobra.Command, []string) {}
	group := Group("keys", "", "", &cobra.Command{Use: "show", Run: run}, &cobra.Command{Use: "secret", Hidden: true, Run: run}, &cobra.Command{Use: "revoke", Run: run})
	(&cobra.Command{Use: "digestctl"}).AddCommand(group)
	for arg, want := range map[string]string{"": "keys needs one of: revoke, show", "lose": `keys has no "lose"; it has: revoke, show`} {
		var args []string
		if arg != "" {
			args = []string{arg}
		}
		if err := group.RunE(group, args); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", arg, err, want)
		}
	}
}

func TestReasons(t *testing.T) {
	for given, good := range map[string]bool{"": false, " \t": false, "CVE-1": true} {
		cmd := &cobra.Command{Use: "set"}
		(&cobra.Command{Use: "digestctl"}).AddCommand(cmd)
		reason := ""
		ReasonFlag(cmd, &reason)
		if err := cmd.ParseFlags([]string{"-r", given}); err != nil {
			t.Fatal(err)
		}
		if err := cmd.PreRunE(cmd, nil); (err == nil) != good {
			t.Errorf("reason %q: %v", given, err)
		}
		free := &cobra.Command{Use: "rm"}
		OptionalReason(free, &reason)
		if err := free.ParseFlags([]string{"--reason", given}); err != nil || reason != given {
			t.Errorf("optional reason %q: %q, %v", given, reason, err)
		}
	}
}

func TestStateStyle(t *testing.T) {
	for state, want := range map[string]terminal.Style{api.StateActive: terminal.Good, api.StateWithheld: terminal.Warn, api.StateQuarantined: terminal.Bad, "empty": terminal.Plain} {
		if got := StateStyle(state); got != want {
			t.Errorf("%s: %v, want %v", state, got, want)
		}
	}
}
