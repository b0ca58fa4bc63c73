// SPDX-License-Identifier: Apache-2.0

// Package keys implements the verbs for keys: those that vouch for packages, and those that
// sign the lists of this machine.
package keys

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// keysDocument is what keys prints for programs.
type keysDocument struct {
	Keys []api.Key `json:"keys"`
}

// Command is digestctl keys.
func Command(a *cli.App) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Annotations: a.Prints(keysDocument{}),
		Use:         "keys",
		Short:       "List, revoke and restore the keys that vouch for packages",
		Long: `Keys lists every key that vouches for packages on this machine, or ever did, and the keys that sign its lists, with
the lists that depend on them; also the certificates in the kernel's keyrings .ima, .machine, .platform,
.builtin_trusted_keys and .secondary_trusted_keys, and the entries of its .blacklist. Revoking a key immediately
withdraws every list it vouches for, until an administrator restores the key.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			keys, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(keysDocument{keys})
			}
			if len(keys) == 0 {
				a.UI.Say(terminal.Warn, "no key vouches for packages; import a key: rpmkeys --import FILE")
				return nil
			}
			shown := keys
			if !all {
				shown = slices.DeleteFunc(slices.Clone(keys), func(k api.Key) bool { return k.Use == api.UseKernel && k.Owner == "" })
			}
			printKeys(a.UI, shown)
			if n := len(keys) - len(shown); n > 0 {
				a.UI.Say(terminal.Faint, "the kernel's .blacklist names %s of unknown files; to list them: digestctl keys --all", terminal.Count(n, "digest", "digests"))
			}
			return nil
		}),
	}
	cmd.AddCommand(showCommand(a),
		changeCommand(a, "revoke", (*client.Client).KeyRevoke, "Revoke a key and withdraw everything it vouches for",
			`Revoke records that a key must no longer vouch for packages, and withdraws every list
it vouches for. digestd refuses packages signed with it from then on. Importing the key
again does not restore it. KEY is a fingerprint or the end of one.`,
			func(k api.Key) bool { return k.Use == "" && k.State != api.KeyRevoked }),
		changeCommand(a, "restore", (*client.Client).KeyRestore, "Lift the revocation of a key",
			`Restore lets a key vouch for packages again: digestd verifies the packages signed with
it again and publishes their lists. A key that its owner revoked cannot be restored. If
a revocation in the certificate cannot be verified, restore overrides that revocation;
KEY can then also be a subkey.`,
			func(k api.Key) bool { return (k.State == api.KeyRevoked || k.Held != "") && k.Use != api.UseKernel }))
	cmd.AddCommand(rotateCommand(a), enrolCommand(a), exportCommand(a))
	cmd.Flags().BoolVar(&all, "all", false, "show every digest in the kernel's .blacklist")
	return cmd
}

func rotateCommand(a *cli.App) *cobra.Command {
	var reason string
	var prepare bool
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Certificate{}),
		Use:         "rotate --reason TEXT",
		Short:       "Change the key that signs this machine's lists",
		Long: `Rotate makes a new key and certificate, and signs every list again. Until all lists
are signed, lists by both keys are good; the exit code is 3 if some could not be replaced
yet. If the kernel verifies lists, enrol the new
certificate first: --prepare makes it while the old key continues to sign; the next
rotate uses it.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			cert, err := c.SignerRotate(ctx, prepare, reason)
			if err != nil {
				return err
			}
			if cert.Waiting > 0 {
				a.Code = cli.ExitBad
			}
			if a.JSON {
				return a.UI.JSON(cert)
			}
			switch {
			case prepare:
				a.UI.Say(terminal.Good, "the next certificate is ready; no list is signed with it yet")
			case cert.Waiting > 0:
				a.UI.Say(terminal.Bad, "the new key signs lists from now on; %s by the former key could not be replaced yet", terminal.Count(cert.Waiting, "list", "lists"))
				a.UI.Fact("next", "digestd retries automatically; see: digestctl status")
			default:
				a.UI.Say(terminal.Good, "all lists are signed with the new key")
			}
			a.UI.Fact("certificate", "%s", cert.Path)
			a.UI.Fact("key id", "%s", cert.SKI)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&prepare, "prepare", false, "only make the next certificate")
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

func showCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations:       a.Prints(api.Key{}),
		Use:               "show KEY",
		Short:             "Show one key",
		Long:              "Show prints everything about one key, given by its fingerprint or the end of it.",
		Args:              cli.Exactly("KEY"),
		ValidArgsFunction: a.Asking(fingerprints(func(api.Key) bool { return true })),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			key, err := c.Key(ctx, args[0])
			if err != nil {
				return err
			}
			return printKey(a, key)
		}),
	}
}

func changeCommand(a *cli.App, verb string, change func(c *client.Client, ctx context.Context, key, reason string) (api.Key, error),
	short, long string, changes func(api.Key) bool) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations:       a.Prints(api.Key{}),
		Use:               verb + " KEY --reason TEXT",
		Short:             short,
		Long:              long,
		Args:              cli.Exactly("KEY"),
		ValidArgsFunction: a.Asking(fingerprints(changes)),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			key, err := change(c, ctx, args[0], reason)
			if err != nil {
				return err
			}
			if err := printKey(a, key); err != nil || a.JSON {
				return err
			}
			cli.SayAnchored(a, key.Anchor)
			return nil
		}),
	}
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

func printKey(a *cli.App, k api.Key) error {
	if a.JSON {
		return a.UI.JSON(k)
	}
	t := a.UI
	owner := k.Owner
	if owner == "" {
		owner = k.Fingerprint
	}
	t.Say(keyStyle(k), "%s: %s", owner, k.State)
	t.Fact("fingerprint", "%s", k.Fingerprint)
	for _, s := range k.Subkeys {
		t.Fact("subkey", "%s", s)
	}
	t.Fact("algorithm", "%s", k.Algorithm)
	if k.Use != api.UseKernel {
		t.Fact("in kernel", "%s", strings.Join(k.Keyrings, ", "))
	}
	if !k.Created.IsZero() {
		t.Fact("created", "%s", terminal.Moment(k.Created))
	}
	if !k.Expires.IsZero() {
		t.Fact("expires", "%s", terminal.Moment(k.Expires))
	}
	t.Fact("found in", "%s", k.Source)
	if k.Weak != "" {
		t.Fact("refused", "%s", k.Weak)
	}
	if k.Held != "" {
		t.Fact("held", "%s; new packages signed with it get no list until: digestctl keys restore KEY --reason WHY", k.Held)
	}
	if k.State == api.KeyRevoked {
		by := k.RevokedBy
		if k.RevokedUID != 0 {
			by += " (" + terminal.UserName(k.RevokedUID) + ")"
		}
		if !k.RevokedAt.IsZero() {
			by += ", " + terminal.Moment(k.RevokedAt)
		}
		t.Fact("revoked by", "%s", by)
		t.Fact("because", "%s", k.RevokedReason)
		if k.Use == "" || k.Use == api.UseDigest {
			t.Fact("to lift", "digestctl keys restore %s --reason WHY", k.Fingerprint)
		}
	}
	switch k.Use {
	case api.UseKernel:
	case api.UseDigest:
		t.Fact("left out of", "%s", terminal.Count(k.Lists, "list", "lists"))
	case "":
		t.Fact("vouches for", "%s, %s", terminal.Count(k.Lists, "list", "lists"), terminal.Count(k.Files, "file", "files"))
	default:
		t.Fact("signs", "%s, %s", terminal.Count(k.Lists, "list", "lists"), terminal.Count(k.Files, "file", "files"))
	}
	if k.Withheld > 0 {
		t.Fact("withheld", "%s", terminal.Count(k.Withheld, "list", "lists"))
	}
	return nil
}

func keyStyle(k api.Key) terminal.Style {
	switch k.State {
	case api.KeyTrusted:
		return terminal.Good
	case api.KeyRevoked, api.KeyWeak:
		return terminal.Bad
	}
	return terminal.Warn
}

func printKeys(t *terminal.UI, keys []api.Key) {
	rows := make([][]terminal.Cell, len(keys))
	for i, k := range keys {
		expires := "never"
		if !k.Expires.IsZero() {
			expires = terminal.Day(k.Expires)
		}
		signs, lists, files := "packages", strconv.Itoa(k.Lists), strconv.Itoa(k.Files)
		if k.Use != "" {
			signs = k.Use
		}
		if k.Use == api.UseKernel || k.Use == api.UseDigest {
			signs, expires, lists, files = "-", "", "", ""
			if k.Lists+k.Withheld > 0 {
				lists = strconv.Itoa(k.Lists + k.Withheld)
			}
		}
		rows[i] = []terminal.Cell{{Text: k.Fingerprint}, {Text: k.State, Style: keyStyle(k)}, {Text: signs}, {Text: k.Algorithm}, {Text: terminal.Day(k.Created)}, {Text: expires},
			{Text: lists}, {Text: files}, {Text: k.Source}, {Text: keyRemarks(k)}}
	}
	t.Table([]terminal.Column{{Title: "FINGERPRINT"}, {Title: "STATE"}, {Title: "SIGNS"}, {Title: "ALGORITHM"}, {Title: "CREATED"}, {Title: "EXPIRES"},
		{Title: "LISTS", Number: true}, {Title: "FILES", Number: true}, {Title: "FOUND IN"}, {Title: "OWNER"}}, rows)
}

// keyRemarks is whose a key is, who revoked it and when, and where in the kernel
// it is besides.
func keyRemarks(k api.Key) string {
	var parts []string
	if k.Owner != "" {
		parts = append(parts, k.Owner)
	}
	if k.RevokedBy != "" && k.RevokedBy != k.Source && k.Use != api.UseKernel {
		parts = append(parts, strings.TrimSpace("revoked by "+k.RevokedBy+" "+terminal.Day(k.RevokedAt)))
	}
	if rings := strings.Join(k.Keyrings, " "); rings != "" && k.Use == api.UseLists {
		parts = append(parts, "in the kernel's "+rings)
	}
	return strings.Join(parts, "; ")
}

// fingerprints are the keys that a verb may be about.
func fingerprints(wanted func(api.Key) bool) func(ctx context.Context, c *client.Client, prefix string, args []string) ([]cobra.Completion, error) {
	return func(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
		keys, err := c.Keys(ctx)
		for _, k := range keys {
			if wanted(k) {
				offers = append(offers, cobra.CompletionWithDesc(k.Fingerprint, k.State+" "+k.Owner))
			}
		}
		return offers, err
	}
}
