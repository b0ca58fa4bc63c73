// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// The uses of keys that have no part in signing.
const (
	useKernel = "kernel" // in a keyring of the kernel
	useDigest = "digest" // no key, but a digest that the kernel's .blacklist names
)

// keysDocument is what keys prints for programs.
type keysDocument struct {
	Keys []api.Key `json:"keys"`
}

func (a *app) keysCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Annotations: prints(keysDocument{}),
		Use:         "keys",
		Short:       "List the keys that vouch for packages, revoke and restore them",
		Long: `Keys lists every key that vouches for packages on this machine, or ever did, and
those that sign its lists, with what hangs on them; and the certificates in the kernel's keyrings .ima, .machine,
.platform, .builtin_trusted_keys and .secondary_trusted_keys, and what its .blacklist names. Revoking a key withdraws
every list it vouches for, at once and until somebody lifts that with restore.`,
		Args: exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			keys, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.tui.json(keysDocument{keys})
			}
			if len(keys) == 0 {
				a.tui.say(warn, "no key vouches for packages; import one: rpmkeys --import FILE")
				return nil
			}
			shown := keys
			if !all {
				shown = slices.DeleteFunc(slices.Clone(keys), func(k api.Key) bool { return k.Use == useKernel && k.Owner == "" })
			}
			a.tui.keys(shown)
			if n := len(keys) - len(shown); n > 0 {
				a.tui.say(faint, "the kernel's .blacklist names %s that nothing here has: digestctl keys --all", count(n, "digest", "digests"))
			}
			return nil
		}),
	}
	cmd.AddCommand(a.keysShowCommand(),
		a.keysChangeCommand("revoke", (*client.Client).KeyRevoke, "Withdraw everything that a key vouches for",
			`Revoke records that a key must not vouch any more, and withdraws every list it
vouches for. Packages signed by it are refused from now on. Importing the key
again does not lift that. KEY is a fingerprint or the end of one.`,
			func(k api.Key) bool { return k.Use == "" && k.State != api.KeyRevoked }),
		a.keysChangeCommand("restore", (*client.Client).KeyRestore, "Lift the revocation of a key",
			`Restore lets a key vouch again. What is signed by it is verified anew, and its
lists return. A key that its owner revoked cannot be restored. If a revocation
in the certificate cannot be verified, restore overrules that one revocation; KEY
may then be a subkey, too.`,
			func(k api.Key) bool { return (k.State == api.KeyRevoked || k.Held != "") && k.Use != useKernel }))
	cmd.AddCommand(a.keysRotateCommand(), a.keysEnrolCommand(), a.keysExportCommand())
	cmd.Flags().BoolVar(&all, "all", false, "show every digest that the kernel's .blacklist names")
	return cmd
}

func (a *app) keysRotateCommand() *cobra.Command {
	var reason string
	var prepare bool
	cmd := &cobra.Command{
		Annotations: prints(api.Certificate{}),
		Use:         "rotate --reason TEXT",
		Short:       "Change the key that signs this machine's lists",
		Long: `Rotate makes a new key and certificate, and signs every list anew. Until all are,
lists by both keys are good. Where the kernel verifies lists, enrol the new
certificate first: --prepare makes it and leaves the old one signing; the next
rotate takes it.`,
		Args: exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			cert, err := c.SignerRotate(ctx, prepare, reason)
			if err != nil {
				return err
			}
			if a.json {
				return a.tui.json(cert)
			}
			if prepare {
				a.tui.say(good, "the next certificate is ready; nothing is signed by it yet")
			} else {
				a.tui.say(good, "all lists are signed by the new key")
			}
			a.tui.fact("certificate", "%s", cert.Path)
			a.tui.fact("key id", "%s", cert.SKI)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&prepare, "prepare", false, "make the next certificate only")
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) keysShowCommand() *cobra.Command {
	return &cobra.Command{
		Annotations:       prints(api.Key{}),
		Use:               "show KEY",
		Short:             "Show one key",
		Long:              "Show prints all that is known of one key, given by its fingerprint or the end of it.",
		Args:              exactly("KEY"),
		ValidArgsFunction: a.asking(fingerprints(func(api.Key) bool { return true })),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			key, err := c.Key(ctx, args[0])
			if err != nil {
				return err
			}
			return a.printKey(key)
		}),
	}
}

func (a *app) keysChangeCommand(verb string, change func(c *client.Client, ctx context.Context, key, reason string) (api.Key, error),
	short, long string, changes func(api.Key) bool) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations:       prints(api.Key{}),
		Use:               verb + " KEY --reason TEXT",
		Short:             short,
		Long:              long,
		Args:              exactly("KEY"),
		ValidArgsFunction: a.asking(fingerprints(changes)),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			key, err := change(c, ctx, args[0], reason)
			if err != nil {
				return err
			}
			return a.printKey(key)
		}),
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) printKey(k api.Key) error {
	if a.json {
		return a.tui.json(k)
	}
	t := a.tui
	owner := k.Owner
	if owner == "" {
		owner = k.Fingerprint
	}
	t.say(keyStyle(k), "%s: %s", owner, k.State)
	t.fact("fingerprint", "%s", k.Fingerprint)
	for _, s := range k.Subkeys {
		t.fact("subkey", "%s", s)
	}
	t.fact("algorithm", "%s", k.Algorithm)
	if k.Use != useKernel {
		t.fact("in kernel", "%s", strings.Join(k.Keyrings, ", "))
	}
	if !k.Created.IsZero() {
		t.fact("created", "%s", moment(k.Created))
	}
	if !k.Expires.IsZero() {
		t.fact("expires", "%s", moment(k.Expires))
	}
	t.fact("found in", "%s", k.Source)
	if k.Weak != "" {
		t.fact("refused", "%s", k.Weak)
	}
	if k.Held != "" {
		t.fact("held", "%s; nothing new comes under it until: digestctl keys restore KEY --reason WHY", k.Held)
	}
	if k.State == api.KeyRevoked {
		by := k.RevokedBy
		if k.RevokedUID != 0 {
			by += " (" + whoever(k.RevokedUID) + ")"
		}
		if !k.RevokedAt.IsZero() {
			by += ", " + moment(k.RevokedAt)
		}
		t.fact("revoked by", "%s", by)
		t.fact("because", "%s", k.RevokedReason)
		if k.Use == "" || k.Use == useDigest {
			t.fact("to lift", "digestctl keys restore %s --reason WHY", k.Fingerprint)
		}
	}
	switch k.Use {
	case useKernel:
	case useDigest:
		t.fact("left out of", "%s", count(k.Lists, "list", "lists"))
	case "":
		t.fact("vouches for", "%s, %s", count(k.Lists, "list", "lists"), count(k.Files, "file", "files"))
	default:
		t.fact("signs", "%s, %s", count(k.Lists, "list", "lists"), count(k.Files, "file", "files"))
	}
	if k.Withheld > 0 {
		t.fact("withheld", "%s", count(k.Withheld, "list", "lists"))
	}
	return nil
}

func keyStyle(k api.Key) style {
	switch k.State {
	case api.KeyTrusted:
		return good
	case api.KeyRevoked, api.KeyWeak:
		return bad
	}
	return warn
}

func (t *tui) keys(keys []api.Key) {
	rows := make([][]cell, len(keys))
	for i, k := range keys {
		expires := "never"
		if !k.Expires.IsZero() {
			expires = day(k.Expires)
		}
		signs, lists, files := "packages", strconv.Itoa(k.Lists), strconv.Itoa(k.Files)
		if k.Use != "" {
			signs = k.Use
		}
		if k.Use == useKernel || k.Use == useDigest {
			signs, expires, lists, files = "-", "", "", ""
			if k.Lists+k.Withheld > 0 {
				lists = strconv.Itoa(k.Lists + k.Withheld)
			}
		}
		rows[i] = []cell{{text: k.Fingerprint}, {k.State, keyStyle(k)}, {text: signs}, {text: k.Algorithm}, {text: day(k.Created)}, {text: expires},
			{text: lists}, {text: files}, {text: k.Source}, {text: keyRemarks(k)}}
	}
	t.table([]column{{"FINGERPRINT", false}, {"STATE", false}, {"SIGNS", false}, {"ALGORITHM", false}, {"CREATED", false}, {"EXPIRES", false},
		{"LISTS", true}, {"FILES", true}, {"FOUND IN", false}, {"OWNER", false}}, rows)
}

// keyRemarks is whose a key is, who revoked it and when, and where in the kernel
// it is besides.
func keyRemarks(k api.Key) string {
	var parts []string
	if k.Owner != "" {
		parts = append(parts, k.Owner)
	}
	if k.RevokedBy != "" && k.RevokedBy != k.Source && k.Use != useKernel {
		parts = append(parts, strings.TrimSpace("revoked by "+k.RevokedBy+" "+day(k.RevokedAt)))
	}
	if rings := strings.Join(k.Keyrings, " "); rings != "" && k.Use == "lists" {
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
