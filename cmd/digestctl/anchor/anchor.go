// SPDX-License-Identifier: Apache-2.0

// Package anchor implements the verbs for the counter in the TPM by which digestd notices that
// its state directory is older than its latest decisions.
package anchor

import (
	"bytes"
	"context"
	"fmt"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// Command is digestctl anchor.
func Command(a *cli.App) *cobra.Command {
	return cli.Group("anchor", "Notice that an old state directory came back",
		`Anchor binds the decisions of digestd to a counter in the machine's TPM, which no backup and no disk image brings
back. If the state directory is replaced by an older one, digestd notices it: what is active stays, newer versions
come, and nothing older than what is installed gets in until an administrator accepts the older state.`,
		enableCommand(a), statusCommand(a), acceptCommand(a), rebindCommand(a), disableCommand(a),
		quoteCommand(a), nonceCommand(a), verifyCommand(a),
		identityCommand(a), challengeCommand(a), proveCommand(a), enrolCommand(a))
}

// maxOwner bounds the file with a password.
const maxOwner = 64

// ownerFlag adds the flag for the password of the TPM's owner.
func ownerFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "owner-password-file", "", "read the password of the TPM's owner from `FILE`; - is standard input")
}

// owner reads that password, without the end of its line.
func owner(ctx context.Context, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := userfile.ReadBounded(ctx, path, maxOwner+1)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimSuffix(data, []byte("\n"))
	if len(data) > maxOwner || bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("cannot use the password in %s: want at most %d bytes, none of them zero", path, maxOwner)
	}
	return data, nil
}

func enableCommand(a *cli.App) *cobra.Command {
	var reason, file string
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Anchor{}),
		Use:         "enable",
		Short:       "Bind the index to a new counter in the TPM",
		Long: `Enable makes a counter in the TPM and binds the index to it. Set anchor = "tpm:" in digestd.conf(5) first, and
restart digestd. The TPM's owner has to authorize the counter: if the owner has a password, give it with
--owner-password-file. If enable fails half-way, it removes what it made.`,
		Example: "  sudo digestctl anchor enable",
		Args:    cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			password, err := owner(ctx, file)
			if err != nil {
				return err
			}
			s, err := c.AnchorEnable(ctx, password, reason)
			return said(a, s, err, "the index is bound to a counter in the TPM")
		}),
	}
	ownerFlag(cmd, &file)
	cli.OptionalReason(cmd, &reason)
	return cmd
}

func acceptCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Anchor{}),
		Use:         "accept --reason TEXT",
		Short:       "Continue with an older state directory",
		Long: `Accept lets digestd continue with a state directory that is older than the counter. Floors, denials, revocations and
versions that digestd recorded later are lost: set them again. Accept revokes all unused grants, since
they may have been used in the meantime.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			s, err := c.AnchorAccept(ctx, reason)
			return said(a, s, err, "digestd continues with the older state; set floors, denials and revocations again")
		}),
	}
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

func rebindCommand(a *cli.App) *cobra.Command {
	var reason, file string
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Anchor{}),
		Use:         "rebind --reason TEXT",
		Short:       "Bind the index to another counter",
		Long: `Rebind makes another counter and binds the index to it. It is for a TPM that was cleared, for a disk that was moved to
another machine, and for a counter whose secret is lost. Nobody can tell then whether the state directory is the
latest, so rebind revokes all unused grants.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			password, err := owner(ctx, file)
			if err != nil {
				return err
			}
			s, err := c.AnchorRebind(ctx, password, reason)
			return said(a, s, err, "the index is bound to a new counter in the TPM")
		}),
	}
	ownerFlag(cmd, &file)
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

func disableCommand(a *cli.App) *cobra.Command {
	var reason, file string
	var leave bool
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Anchor{}),
		Use:         "disable --reason TEXT",
		Short:       "Remove the counter from the TPM",
		Long: `Disable removes the counter from the TPM. digestd does not notice an older state directory any more. Set anchor =
"off" in digestd.conf(5) afterwards. With --leave-counter disable does not use the TPM, and the counter stays in it.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			password, err := owner(ctx, file)
			if err != nil {
				return err
			}
			s, err := c.AnchorDisable(ctx, password, leave, reason)
			return said(a, s, err, "the index is not bound to a counter any more")
		}),
	}
	cmd.Flags().BoolVar(&leave, "leave-counter", false, "leave the counter in the TPM")
	ownerFlag(cmd, &file)
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

// said prints what an act came to.
func said(a *cli.App, s api.Anchor, err error, text string) error {
	if err != nil {
		return err
	}
	if a.JSON {
		return a.UI.JSON(s)
	}
	a.UI.Say(terminal.Good, "%s", text)
	if s.Standing == api.AnchorUnreachable {
		a.UI.Say(terminal.Warn, "%s", s.Text)
	}
	return nil
}

func statusCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(api.Anchor{}),
		Use:         "status",
		Short:       "Show how the index and the counter compare",
		Long: `Status shows whether the index is bound to a counter, the epoch of the index and the value that the counter had when
digestd read it last. The exit code is 3 if the index is older than the counter, is bound to another counter, or if the
TPM cannot be used.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			s, err := c.Anchor(ctx)
			if err != nil {
				return err
			}
			switch s.Standing {
			case api.AnchorOlder, api.AnchorOther, api.AnchorUnreachable:
				a.Code = cli.ExitBad
			}
			if a.JSON {
				return a.UI.JSON(s)
			}
			print(a.UI, s)
			return nil
		}),
	}
}

// print prints how both stand, and what to do.
func print(t *terminal.UI, s api.Anchor) {
	switch {
	case s.Where == "off" && !s.Bound:
		t.Say(terminal.Plain, "no anchor is configured")
		return
	case s.Where == "off":
		t.Say(terminal.Warn, "the index is bound to a counter, and the configuration says off: an older state directory is not noticed")
	case s.Standing == api.AnchorNone:
		t.Say(terminal.Warn, "the anchor is not enabled: digestctl anchor enable")
	case s.Standing == api.AnchorDone:
		t.Say(terminal.Good, "the index is anchored")
	case s.Standing == api.AnchorPending:
		t.Say(terminal.Good, "the index is anchored, except for decisions of the last hour")
	case s.Standing == api.AnchorOlder:
		t.Say(terminal.Bad, "the state directory is older than what was decided: nothing older than what is installed gets in")
		t.Say(terminal.Plain, "put the latest state directory back; or accept this one: digestctl anchor accept --reason WHY")
	case s.Standing == api.AnchorOther:
		t.Say(terminal.Bad, "the TPM does not have the counter that the index is bound to: nothing older than what is installed gets in")
		t.Say(terminal.Plain, "if the TPM was cleared or the disk was moved: digestctl anchor rebind --reason WHY")
	default:
		t.Say(terminal.Bad, "the TPM cannot be used: %s", s.Text)
	}
	if s.Where != "off" {
		t.Say(terminal.Plain, "place: %s", s.Where)
	}
	if s.Bound {
		t.Say(terminal.Plain, "epoch of the index: %d", s.Epoch)
	}
	if !s.Read.IsZero() {
		t.Say(terminal.Plain, "counter: %d, read %s", s.Value, terminal.Moment(s.Read))
	}
}
