// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// retiredDocument is what keys export-blacklist prints for programs.
type retiredDocument struct {
	Retired []api.Retired `json:"retired"`
}

func exportCommand(a *cli.App) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Annotations: a.Prints(retiredDocument{}),
		Use:         "export-blacklist",
		Short:       "Print .blacklist entries that refuse lists of old versions",
		Long: `Export-blacklist prints a line "bin:DIGEST" for every retired list: its package was replaced or removed, and the
list must not come back. The digest is the one that was signed: SHA-384 or SHA-512 if the key is on a curve of 384 or
521 bits. The kernel accepts such a line into its .blacklist with a signature by a certificate that is built into the
kernel, and then refuses the list. With --output it writes each line to a file of its own, without a line break, named
after the list. The owner of the key signs each file:

  openssl smime -sign -binary -noattr -outform DER -signer CERTIFICATE -inkey KEY -in FILE -out FILE.p7s

Put both files into /etc/digestd/blacklist.d on every machine; digestd passes them to the kernel.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			all, err := c.Retired(ctx)
			if err != nil {
				return err
			}
			if dir != "" {
				if err := writeEntries(dir, all); err != nil {
					return err
				}
			}
			switch {
			case a.JSON:
				return a.UI.JSON(retiredDocument{all})
			case dir != "":
				a.UI.Say(terminal.Good, "%s written to %s; sign each: see digestctl keys export-blacklist --help", terminal.Count(len(all), "entry", "entries"), dir)
			default:
				for _, r := range all {
					a.UI.Say(terminal.Plain, "%s", r.Entry)
				}
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&dir, "output", "", "write a file for each list into `DIRECTORY`")
	return cmd
}

// writeEntries writes exactly what is to be signed. Two builds of one version have
// lists of one name: the digest tells them apart.
func writeEntries(dir string, all []api.Retired) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, r := range all {
		name := r.List + "." + r.Entry[max(0, len(r.Entry)-16):]
		if filepath.Base(name) != name {
			return fmt.Errorf("cannot write %q: it is not a valid file name", name)
		}
		if err := userfile.Write(filepath.Join(dir, name), []byte(r.Entry), 0o644); err != nil {
			return err
		}
	}
	return nil
}
