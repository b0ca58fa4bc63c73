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
		Annotations: a.Prints(api.Enrolment{}),
		Use:         "enrol --ima | --mok | --file",
		Short:       "Enrol the certificate of this machine in the kernel",
		Long: `Enrol gives the kernel the certificate that signs lists, and the one that "keys rotate --prepare" made, and shows
what is left to do. --ima adds it to the kernel's IMA keyring until the next boot; the keyring accepts certificates
signed by one that the kernel trusts. --file puts it into /etc/keys, from where the next boot loads it. --mok makes
mokutil ask the owner of the machine, at the next boot, to trust it. digestd removes a revoked certificate from the
keyring and from /etc/keys.

The .ima keyring rejects self-signed certificates, such as the one digestd makes, unless the owner of the machine
trusts them (--mok). The alternative is a certificate for the same key from an authority that the kernel trusts:

  openssl req -new -key /var/lib/digestd/signing.key -subj "/CN=digestd" -out signing.csr

The certificate must be for digital signatures, have a subject key identifier and not be a CA certificate. Replace
/var/lib/digestd/signing.crt with it (PEM), then enrol: digestd loads it, updates signing.der and signs all lists
again. The key stays the same. "keys rotate" makes another key, whose certificate must be enrolled before.`,
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
	flags.BoolVar(&where[0], "ima", false, "add it to the kernel's IMA keyring now")
	flags.BoolVar(&where[1], "mok", false, "ask the machine's owner to trust it, at the next boot")
	flags.BoolVar(&where[2], "file", false, "load it at the next boot")
	return cmd
}

// importMOK runs mokutil, which asks for a password that the firmware will want
// to hear at the next boot.
func importMOK(a *cli.App, ctx context.Context, e *api.Enrolment) error {
	args := append([]string{"--import"}, e.Files...)
	program, err := exec.LookPath("mokutil")
	if err != nil {
		return &api.Error{Code: api.Failed, Message: "mokutil is not installed", Advice: "install it, then: mokutil " + strings.Join(args, " ")}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, a.UI.Err, a.UI.Err
	if err := cmd.Run(); err != nil {
		return &api.Error{Code: api.Failed, Message: "mokutil " + strings.Join(args, " ") + ": " + err.Error(),
			Advice: "only machines booted by EFI have machine owner keys; see: mokutil --sb-state"}
	}
	e.Done = append(e.Done, "mokutil passed it to the firmware: "+strings.Join(e.Files, ", "))
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
