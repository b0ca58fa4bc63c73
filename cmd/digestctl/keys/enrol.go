// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

func enrolCommand(a *cli.App) *cobra.Command {
	var where [3]bool
	places := [...]string{api.EnrolIMA, api.EnrolMOK, api.EnrolFile}
	cmd := &cobra.Command{
		Annotations: cli.Prints(api.Enrolment{}),
		Use:         "enrol --ima | --mok | --file",
		Short:       "Have the kernel know the certificate that signs this machine's lists",
		Long: `Enrol brings the certificate that signs lists, and the one that "keys rotate
--prepare" made, to where the kernel looks for it, and says what is left to do. --ima adds it to the kernel's keyring
for IMA, which takes what a certificate signed that the kernel trusts, until the next boot. --file puts it into
/etc/keys, from where the next boot loads it. --mok has mokutil ask the machine's owner, at the next boot, to trust
it. A certificate that is revoked is taken out of the keyring and of /etc/keys again.

The keyring .ima takes no certificate that signed itself, as the one does that digestd makes, unless the machine's
owner trusts it (--mok). Else have an authority whom the kernel trusts make a certificate for the same key:

  openssl req -new -key /var/lib/digestd/signing.key -subj "/CN=digestd" -out signing.csr

It must be for digital signatures, have a subject key identifier and be no authority's. Put it, in PEM, in the place of
/var/lib/digestd/signing.crt, then enrol: digestd takes it over, brings signing.der in line with it and signs all lists
anew. The key stays. "keys rotate" makes another key, whose certificate has to be enrolled before.`,
		Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen := ""
			for i, place := range places {
				if where[i] && chosen != "" {
					return fmt.Errorf("keys enrol takes one of --ima, --mok and --file")
				}
				if where[i] {
					chosen = place
				}
			}
			if chosen == "" {
				return fmt.Errorf("keys enrol needs one of --ima, --mok and --file")
			}
			return a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
				e, err := c.SignerEnrol(ctx, chosen)
				if err == nil && chosen == api.EnrolMOK {
					err = importMOK(a, ctx, &e)
				}
				if err != nil {
					return err
				}
				return printEnrolment(a, e)
			})(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&where[0], "ima", false, "add it to the kernel's keyring for IMA, now")
	flags.BoolVar(&where[1], "mok", false, "ask the machine's owner to trust it, at the next boot")
	flags.BoolVar(&where[2], "file", false, "have the next boot load it")
	return cmd
}

// importMOK runs mokutil, which asks for a password that the firmware will want
// to hear at the next boot.
func importMOK(a *cli.App, ctx context.Context, e *api.Enrolment) error {
	args := append([]string{"--import"}, e.Files...)
	program, err := exec.LookPath("mokutil")
	if err != nil {
		return &api.Error{Code: api.Failed, Message: "mokutil is not installed, which talks to the firmware", Advice: "install it, then: mokutil " + strings.Join(args, " ")}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, a.UI.Err, a.UI.Err
	if err := cmd.Run(); err != nil {
		return &api.Error{Code: api.Failed, Message: "mokutil " + strings.Join(args, " ") + ": " + err.Error(),
			Advice: "a machine that was not booted by EFI has no owner's keys: mokutil --sb-state"}
	}
	e.Done = append(e.Done, "handed to the firmware by mokutil: "+strings.Join(e.Files, ", "))
	return nil
}

func printEnrolment(a *cli.App, e api.Enrolment) error {
	if a.JSON {
		return a.UI.JSON(e)
	}
	for _, text := range e.Done {
		a.UI.Say(terminal.Good, "%s", text)
	}
	for _, c := range e.Certificates {
		a.UI.Fact("key id", "%s", c.SKI)
	}
	name := "left to do"
	for _, text := range e.Left {
		a.UI.Fact(name, "%s", text)
		name = ""
	}
	return nil
}
