// SPDX-License-Identifier: Apache-2.0

// Package format implements the verbs for list files, which need no digestd: they show, check
// and convert them.
package format

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/spf13/cobra"
)

// Command is digestctl format.
func Command(a *cli.App) *cobra.Command {
	return cli.Group("format", "Show, check and convert list files without digestd",
		`Format shows, checks and converts digest list files, tlv or rpm, signed or unsigned,
made by digestd or by digest-cache-tools. It needs neither digestd nor root.`,
		showCommand(a), checkCommand(a), convertCommand(a))
}

// offline makes the function that cobra runs of a verb that needs no daemon.
func offline(a *cli.App, fn func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.Started = true
		return fn(cmd.Context(), args)
	}
}

// describedList describes a list file.
type describedList struct {
	Path      string           `json:"path"`
	Format    string           `json:"format"`             // tlv, rpm
	Sequence  string           `json:"sequence,omitzero"`  // number before its name
	Size      int              `json:"size"`               // size of the file in bytes
	Body      string           `json:"body"`               // SHA-256 of the list without its signature
	Signature describedSig     `json:"signature,omitzero"` // absent from an unsigned list
	Counts    []countedAlgo    `json:"algorithms"`         // digests by algorithm, in order
	Package   string           `json:"package,omitzero"`   // package of an rpm list
	Entries   []api.File       `json:"entries,omitzero"`   // its files, with --files
	Error     describedMistake `json:"error,omitzero"`     // why the kernel would refuse it
	Remarks   []string         `json:"remarks,omitzero"`   // what the kernel accepts and people may object to
}

type describedSig struct {
	Kind     string `json:"kind"`              // pkcs7, pgp, x509
	Size     int    `json:"size"`              // in bytes
	Signer   string `json:"signer,omitzero"`   // the signer, as the signature names it
	Verified string `json:"verified,omitzero"` // the key that verified it, if keys were given
}

type countedAlgo struct {
	Algo    string `json:"algo"`
	Entries int    `json:"entries"`
}

// describedMistake is the place and the kind of an error in a list.
type describedMistake struct {
	Offset  int    `json:"offset"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// formatDocument is what format show and check print for programs.
type formatDocument struct {
	Lists []describedList `json:"lists"`
}

func showCommand(a *cli.App) *cobra.Command {
	var files bool
	cmd := &cobra.Command{
		Annotations: a.Prints(formatDocument{}),
		Use:         "show FILE...",
		Short:       "Show the contents of list files",
		Long:        "Show prints the contents of list files as far as it can read them; with --files also each file and its digest.",
		Example:     "  digestctl format show --files /etc/digest_lists/tlv-bash-0:5.2-1.x86_64",
		Args:        cli.AtLeast("FILE"),
		RunE: offline(a, func(_ context.Context, args []string) error {
			return describeLists(a, args, files, nil)
		}),
	}
	cmd.Flags().BoolVarP(&files, "files", "f", false, "print the files and their digests")
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func checkCommand(a *cli.App) *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Annotations: a.Prints(formatDocument{}),
		Use:         "check FILE...",
		Short:       "Check that a kernel would accept list files",
		Long: `Check reads list files and their names as strictly as the kernel does, and verifies
their signatures with the keys in the files given with --key: X.509 certificates for
a PKCS#7 signature, OpenPGP certificates for the signature of a package.

It exits with 3 if a list is malformed (it names the byte and the field) or its
signature is not good.`,
		Example: "  digestctl format check --key /var/lib/digestd/signing.crt /etc/digest_lists/*",
		Args:    cli.AtLeast("FILE"),
		RunE: offline(a, func(_ context.Context, args []string) error {
			ring, err := readKeys(keys)
			if err != nil {
				return err
			}
			return describeLists(a, args, false, ring)
		}),
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "verify signatures with the keys in `FILE`; can be repeated")
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

// describeLists says of each file what it is. With a ring it also judges.
func describeLists(a *cli.App, paths []string, files bool, ring *keyFiles) error {
	doc := formatDocument{Lists: []describedList{}}
	for _, path := range paths {
		d, err := describeList(path, files, ring)
		if err != nil {
			return err
		}
		if d.Error.Message != "" || len(d.Remarks) > 0 && ring != nil {
			a.Code = cli.ExitBad
		}
		if !a.JSON {
			printDescribedList(a.UI, d, ring != nil)
		}
		doc.Lists = append(doc.Lists, d)
	}
	if a.JSON {
		return a.UI.JSON(doc)
	}
	return nil
}

func describeList(path string, files bool, ring *keyFiles) (d describedList, err error) {
	d = describedList{Path: path, Counts: []countedAlgo{}}
	file, l, err := userfile.ReadList(path)
	d.Size = len(file)
	if file == nil {
		return d, err
	}
	if err != nil {
		d.Error = mistake(err)
		return d, nil
	}
	d.Format, d.Body = l.Format, hexSum(l.Content)
	if l.Sig != nil {
		d.Signature = describedSig{Kind: kindName(l.Kind), Size: len(l.Sig), Signer: signerOf(l)}
	}
	name := filepath.Base(path)
	seq, has, format, _, nameErr := digestlist.ParseName(name)
	switch {
	case nameErr != nil:
		d.Remarks = append(d.Remarks, "the kernel reads no file of this name: "+nameErr.Error())
	case format != l.Format:
		d.Remarks = append(d.Remarks, fmt.Sprintf("its name says %s, but its content is %s", format, l.Format))
	case has:
		d.Sequence = strconv.FormatUint(uint64(seq), 10)
	}
	if l.Format == digestlist.FormatRPM && len(l.Content) >= len(header.Magic) {
		if h, err := header.ParseImmutable(l.Content[len(header.Magic):]); err == nil {
			if pkg, err := h.NEVRA(); err == nil {
				d.Package = pkg.String()
			}
		}
	}
	err = digestlist.Walk(l.Format, l.Content, func(algo digestlist.Algo, digest, p []byte) error {
		if n := len(d.Counts); n == 0 || d.Counts[n-1].Algo != algo.String() {
			d.Counts = append(d.Counts, countedAlgo{Algo: algo.String()})
		}
		d.Counts[len(d.Counts)-1].Entries++
		if files {
			d.Entries = append(d.Entries, fileEntry(algo, digest, p))
		}
		return nil
	})
	if err != nil {
		d.Error = mistake(err)
		return d, nil
	}
	if ring != nil {
		ring.judge(l, &d)
	}
	return d, nil
}

func fileEntry(algo digestlist.Algo, digest, path []byte) api.File {
	f := api.File{Path: api.Clean(string(path)), Algo: algo.String(), Digest: hex.EncodeToString(digest)}
	if f.Path != string(path) {
		f.RawPath = bytes.Clone(path)
	}
	return f
}

// mistake says where a list is malformed.
func mistake(err error) describedMistake {
	var syntax *digestlist.SyntaxError
	if errors.As(err, &syntax) {
		return describedMistake{Offset: syntax.Offset, Field: syntax.Field, Message: err.Error()}
	}
	return describedMistake{Message: err.Error()}
}

func printDescribedList(t *terminal.UI, d describedList, judged bool) {
	entries := 0
	for _, c := range d.Counts {
		entries += c.Entries
	}
	switch {
	case d.Error.Message != "":
		t.Say(terminal.Bad, "%s: malformed: %s", d.Path, d.Error.Message)
	case len(d.Remarks) > 0 && judged:
		t.Say(terminal.Bad, "%s: not good", d.Path)
	case judged:
		t.Say(terminal.Good, "%s: good, %s, %s", d.Path, d.Format, terminal.Count(entries, "entry", "entries"))
	default:
		t.Say(terminal.Plain, "%s: %s, %s", d.Path, d.Format, terminal.Count(entries, "entry", "entries"))
	}
	for _, r := range d.Remarks {
		t.Fact("note", "%s", r)
	}
	t.Fact("package", "%s", d.Package)
	t.Fact("number", "%s", d.Sequence)
	for _, c := range d.Counts {
		t.Fact("digests", "%d %s", c.Entries, c.Algo)
	}
	t.Fact("size", "%d bytes", d.Size)
	t.Fact("body", "%s", terminal.WithAlgo("sha256", d.Body))
	switch s := d.Signature; {
	case s.Kind == "":
		t.Fact("signature", "none")
	default:
		t.Fact("signature", "%s, %d bytes", s.Kind, s.Size)
		t.Fact("signer", "%s", s.Signer)
		t.Fact("verified", "%s", s.Verified)
	}
	for _, f := range d.Entries {
		t.Say(terminal.Plain, "    %s:%s  %s", f.Algo, f.Digest, terminal.PathOf(f.Path, f.RawPath))
	}
}
