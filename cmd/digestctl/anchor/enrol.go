// SPDX-License-Identifier: Apache-2.0

package anchor

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/spf13/cobra"
)

func identityCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(attest.Identity{}),
		Use:         "identity",
		Short:       "Show a verifier the keys of the TPM",
		Long: `Identity prints the keys of the TPM for a verifier on another machine: the endorsement key, with the certificate of the
TPM's maker if the TPM has one, and the attestation key, which signs quotes. The verifier makes a challenge from them
with digestctl anchor challenge.`,
		Example: "  sudo digestctl anchor identity > identity.json",
		Args:    cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			text, err := c.AnchorIdentity(ctx)
			return printDocument[attest.Identity](a, text, err)
		}),
	}
}

func proveCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(attest.Proof{}),
		Use:         "prove CHALLENGE",
		Short:       "Answer the challenge of a verifier",
		Long: `Prove makes the TPM answer a challenge, and prints the proof for the verifier. CHALLENGE is a file; - is standard input.
Only the TPM that has the endorsement key and the attestation key of the challenge can answer it.`,
		Example: "  sudo digestctl anchor prove challenge.json > proof.json",
		Args:    cli.Exactly("CHALLENGE"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			challenge, err := userfile.ReadBounded(ctx, args[0], attest.MaxIdentity)
			if err != nil {
				return err
			}
			text, err := c.AnchorProve(ctx, challenge)
			return printDocument[attest.Proof](a, text, err)
		}),
	}
}

// printDocument prints a document of digestd's for another machine.
func printDocument[T any](a *cli.App, text string, err error) error {
	var document T
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return fmt.Errorf("cannot read digestd's answer: %w", err)
	}
	return a.UI.JSON(document)
}

func challengeCommand(a *cli.App) *cobra.Command {
	var memory, makers string
	var trust attest.Trust
	cmd := &cobra.Command{
		Annotations: a.Prints(attest.Challenge{}),
		Use:         "challenge IDENTITY --memory FILE",
		Short:       "Make a challenge for a machine, on another machine",
		Long: `Challenge prints a secret that only one TPM can decrypt: the one that has the endorsement key of IDENTITY, and only if it
also has the attestation key. The machine answers with digestctl anchor prove, and digestctl anchor enrol then trusts
the attestation key. IDENTITY is a file; - is standard input. Challenge uses no TPM, no network and no digestd.

With --makers challenge trusts an endorsement key if its certificate in IDENTITY has a chain to a certificate of a TPM
maker in that file. With --endorsement-key it trusts the key with that SHA-256, for a TPM without a certificate: read it
on the machine itself, or note it when the machine is delivered. FILE is the verifier's memory of the machine, as for
digestctl anchor verify; challenge writes the digest of the secret to it.`,
		Example: "  digestctl anchor challenge identity.json --memory web1.json --makers tpm-makers.pem > challenge.json",
		Args:    cli.Exactly("IDENTITY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if memory == "" || (makers == "") == (trust.Endorsement == "") {
				return cli.Usage(errors.New("anchor challenge needs --memory FILE, and one of --makers FILE and --endorsement-key SHA256"), cmd.CommandPath())
			}
			if b, err := hex.DecodeString(trust.Endorsement); err != nil || len(b) != 0 && len(b) != 32 {
				return cli.Usage(errors.New("--endorsement-key needs a SHA-256 as 64 hexadecimal digits"), cmd.CommandPath())
			}
			a.Started = true
			identity, err := userfile.ReadBounded(cmd.Context(), args[0], attest.MaxIdentity)
			if err != nil {
				return err
			}
			if makers != "" {
				if trust.Makers, err = userfile.ReadBounded(cmd.Context(), makers, attest.MaxMakers); err != nil {
					return err
				}
			}
			known, err := remembered(cmd.Context(), memory, true)
			if err != nil {
				return err
			}
			challenge, m, err := attest.Ask(identity, trust, known, time.Now())
			if err != nil {
				return err
			}
			if err := remember(memory, m); err != nil {
				return err
			}
			return a.UI.JSON(challenge)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&memory, "memory", "", "keep the knowledge about the machine in `FILE`")
	flags.StringVar(&makers, "makers", "", "trust TPMs of the makers whose certificates are in `FILE`, as PEM")
	flags.StringVar(&trust.Endorsement, "endorsement-key", "", "trust the TPM whose public endorsement key has this `SHA256`")
	cmd.RegisterFlagCompletionFunc("endorsement-key", cobra.NoFileCompletions)
	return cmd
}

// enrolled is what enrol prints for programs.
type enrolled struct {
	Key string `json:"key"` // name of the attestation key, hexadecimal

	Enrolment attest.Enrolment `json:"enrolment"`
}

func enrolCommand(a *cli.App) *cobra.Command {
	var memory string
	cmd := &cobra.Command{
		Annotations: a.Prints(enrolled{}),
		Use:         "enrol PROOF --memory FILE",
		Short:       "Trust the attestation key that a machine proved",
		Long: `Enrol compares PROOF with the challenge, and records in FILE that the attestation key belongs to the machine. Digestctl
anchor verify then accepts quotes that this key signed, from the first one on. PROOF is a file; - is standard input. Enrol uses
no TPM, no network and no digestd. The exit code is 3 if PROOF does not answer the challenge.`,
		Example: "  digestctl anchor enrol proof.json --memory web1.json",
		Args:    cli.Exactly("PROOF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if memory == "" {
				return cli.Usage(errors.New("anchor enrol needs --memory FILE"), cmd.CommandPath())
			}
			a.Started = true
			proof, err := userfile.ReadBounded(cmd.Context(), args[0], attest.MaxIdentity)
			if err != nil {
				return err
			}
			known, err := remembered(cmd.Context(), memory, false)
			if err != nil {
				return err
			}
			m, err := attest.Enrol(proof, *known)
			if errors.Is(err, attest.ErrUnproven) {
				a.Code = cli.ExitBad
				a.UI.Say(terminal.Bad, "%s", err)
				return nil
			}
			if err == nil {
				err = remember(memory, m)
			}
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(enrolled{m.Key, *m.Enrolment})
			}
			a.UI.Say(terminal.Good, "the TPM proved that it has the attestation key")
			a.UI.Fact("TPM", "attestation key %s", m.Key)
			printEnrolment(a.UI, *m.Enrolment)
			return nil
		},
	}
	cmd.Flags().StringVar(&memory, "memory", "", "keep the knowledge about the machine in `FILE`")
	return cmd
}

// printEnrolment says how the verifier knows an attestation key.
func printEnrolment(t *terminal.UI, e attest.Enrolment) {
	switch e.By {
	case attest.ByCertificate:
		t.Fact("known", "by a proof: %s vouches for the endorsement key %s", e.Maker, e.Endorsement)
	case attest.ByEndorsement:
		t.Fact("known", "by a proof: you named the endorsement key %s", e.Endorsement)
	default:
		t.Fact("known", "by the first use: nobody vouches for these keys")
	}
}
