// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/schema"
	"github.com/digestd/digestd/cmd/digestctl/schematest"
	"github.com/spf13/cobra"
)

// badDocument is the exit code of a digestctl that printed what its schema does not permit.
const badDocument = 99

// mainForPrograms is cli.Main for a command line with --json, and compares what was printed
// with the schema of the verb.
func mainForPrograms(root func(*cli.App) *cobra.Command) {
	k := kept{root: root}
	var printed bytes.Buffer
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, k.command, os.Args[1:], io.MultiWriter(os.Stdout, &printed), os.Stderr)
	stop()
	if err := k.check(os.Args[1:], printed.Bytes()); err != nil {
		fmt.Fprintf(os.Stderr, "digestctl printed what its schema does not permit: %v\n", err)
		code = badDocument
	}
	os.Exit(code)
}

// kept remembers the command that a run assembles.
type kept struct {
	root func(*cli.App) *cobra.Command
	app  *cli.App
	made *cobra.Command
}

func (k *kept) command(a *cli.App) *cobra.Command {
	k.app, k.made = a, k.root(a)
	return k.made
}

// check compares what a command line with --json printed with the schema of its verb.
func (k *kept) check(args []string, printed []byte) error {
	if !k.app.JSON || len(printed) == 0 && k.app.Code == 0 {
		return nil // watch and denials may have had nothing to print
	}
	cmd, _, err := k.made.Find(args)
	if err != nil {
		cmd = k.made
	}
	documents := append(k.app.Documents(cmd), reflect.TypeFor[cli.Trouble]())
	s, err := json.Marshal(schema.Descriptions{}.Of(cmd.Name(), "", documents...))
	if err != nil {
		return err
	}
	return schematest.Check(s, printed)
}
