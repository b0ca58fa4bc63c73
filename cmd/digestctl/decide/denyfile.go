// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// digestsOf reads a file once and returns its digests by all algorithms of
// lists. It is read here, so that nobody learns or denies by it what they could
// not read themselves.
func digestsOf(ctx context.Context, path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", userfile.NoFile(fmt.Errorf("there is no file %s", path))
	}
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, errors.Unwrap(err))
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	if !before.Mode().IsRegular() {
		return "", &api.Error{Code: api.InvalidArgument, Message: path + " is not a regular file, so there is no content to deny"}
	}
	sums := [...]io.Writer{sha256.New(), sha512.New384(), sha512.New()}
	if _, err := io.Copy(io.MultiWriter(sums[:]...), userfile.Interruptible{Ctx: ctx, R: f}); err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	if after, err := f.Stat(); err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return "", fmt.Errorf("%s changed while it was being read; try again", path)
	}
	text := ""
	for i, name := range [...]string{"sha256:", ",sha384:", ",sha512:"} {
		text += name + hex.EncodeToString(sums[i].(interface{ Sum([]byte) []byte }).Sum(nil))
	}
	return text, nil
}

// exportDocument is what deny export prints for programs when it wrote a file.
type exportDocument struct {
	File    string `json:"file"`
	Denials int    `json:"denials"`
}

func denyExportCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(exportDocument{}, api.DenialDocument{}),
		Use:         "export [FILE]",
		Short:       "Export the denials for other machines",
		Long: `Export writes the denials of this machine as a JSON document to FILE, which must not
exist, or to standard output. It omits denials from other sources, such as the kernel.`,
		Args: cli.AtMost("FILE"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			all, err := allDenials(ctx, c)
			if err != nil {
				return err
			}
			doc := api.DenialDocument{Format: api.DenialFormat, Version: api.DenialVersion, Denials: []api.DenialRecord{}}
			for _, d := range all.Denials {
				if !d.Foreign {
					doc.Denials = append(doc.Denials, api.DenialRecord{Digests: d.Digests, Path: d.Path, Package: d.Package, Arch: d.Arch,
						Below: d.Below, Exact: d.Exact, Reason: d.Reason, Ticket: d.Ticket, Since: d.Since, Expires: d.Expires})
				}
			}
			if len(args) == 0 {
				return a.UI.JSON(doc)
			}
			if err := writeNew(args[0], doc); err != nil {
				return fmt.Errorf("cannot write %s: %w", args[0], err)
			}
			if a.JSON {
				return a.UI.JSON(exportDocument{args[0], len(doc.Denials)})
			}
			a.UI.Say(terminal.Good, "%s written to %s", terminal.Count(len(doc.Denials), "denial", "denials"), args[0])
			return nil
		}),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
	}
}

// writeNew writes a document to a file that does not exist yet.
func writeNew(path string, doc any) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return errors.Unwrap(err)
	}
	enc := json.NewEncoder(f)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err = errors.Join(enc.Encode(doc), f.Sync(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

func denyImportCommand(a *cli.App) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Annotations: a.Prints(api.DenialImport{}),
		Use:         "import FILE",
		Short:       "Import denials from a file",
		Long: `Import adds the denials in a file that deny export wrote; - reads standard input. It
adds all of them in one step, or none if there is an error. A denial that exists
already is merged: the later end applies, and tickets are kept. With --dry-run it
shows what it would do.`,
		Args: cli.Exactly("FILE"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			document, err := userfile.ReadBounded(ctx, args[0], api.MaxDenialDocument)
			if err != nil {
				return err
			}
			result, err := c.DenialsImport(ctx, document, dry)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(result)
			}
			printImported(a.UI, result)
			cli.SayAnchored(a, result.Anchor)
			return nil
		}),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
	}
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "show what would change, and change nothing")
	return cmd
}

func printImported(t *terminal.UI, r api.DenialImport) {
	rows := make([][]terminal.Cell, len(r.Changes))
	for i, c := range r.Changes {
		packages := ""
		for j, p := range c.Packages {
			if j == terminal.ShownLists {
				packages += ", and " + strconv.Itoa(len(c.Packages)-j) + " more"
				break
			}
			if j > 0 {
				packages += ", "
			}
			packages += p
		}
		rows[i] = []terminal.Cell{{Text: c.Action}, {Text: c.Denial.ID}, {Text: denialShort(c.Denial), Style: terminal.Bad}, {Text: c.Denial.Ticket}, {Text: packages}}
	}
	if len(rows) > 0 {
		t.Table([]terminal.Column{{Title: "ACTION"}, {Title: "ID"}, {Title: "DENIED"}, {Title: "TICKET"}, {Title: "LISTS OF"}}, rows)
	}
	if more := r.Added + r.Merged + r.Same + r.Expired - len(rows); more > 0 {
		t.Say(terminal.Plain, "and %d more", more)
	}
	text := "%d added, %d merged, %d unchanged, %d expired; %s withheld or changed"
	if r.DryRun {
		text = "would be: " + text + "; nothing was changed"
	}
	t.Say(terminal.Good, text, r.Added, r.Merged, r.Same, r.Expired, terminal.Count(r.Lists, "list", "lists"))
}
