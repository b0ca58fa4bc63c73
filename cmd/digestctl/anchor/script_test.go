// SPDX-License-Identifier: Apache-2.0

package anchor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/anchor"
	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/query"
	"github.com/digestd/digestd/integration/tokentest"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/kernel/tpm/tpmtest"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	ctltest.Main(m, func(a *cli.App) []*cobra.Command {
		return []*cobra.Command{anchor.Command(a), query.Status(a)}
	})
}

// Sessions of digestctl with these verbs. Those about attestation have a machine with a TPM,
// and the certificate of its maker in maker.pem.
func TestScripts(t *testing.T) {
	ctltest.Scripts(t, func(env *testscript.Env) {
		if !strings.HasPrefix(filepath.Base(env.WorkDir), "script-attest") {
			return
		}
		maker := tpmtest.NewMaker(t, "TPM maker")
		chip := tokentest.NewTPM(t, filepath.Join(env.WorkDir, ".tpm"))
		counter, value := newCounter(t, chip)
		tpmtest.Do(t, chip.Socket, maker.Endorse)
		ctltest.WorldOf(env).Daemon.UseTPM(chip.Socket, counter, value)
		if err := os.WriteFile(filepath.Join(env.WorkDir, "maker.pem"), maker.PEM(), 0o644); err != nil {
			t.Fatal(err)
		}
		for name, text := range documented(t) {
			if err := os.WriteFile(filepath.Join(env.WorkDir, name), text, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// documented returns the programs of the page about attestation, by their names.
func documented(t *testing.T) map[string][]byte {
	t.Helper()
	page, err := os.ReadFile("../../../docs/attestation.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string][]byte{}
	for _, m := range regexp.MustCompile("(?s)<!-- file: ([a-z-]+) -->\n```sh\n(.*?)```\n").FindAllSubmatch(page, -1) {
		programs[string(m[1])] = m[2]
	}
	if len(programs) != 2 {
		t.Fatalf("the page has %d programs", len(programs))
	}
	return programs
}

// newCounter makes a counter in a TPM.
func newCounter(t *testing.T, chip *tokentest.TPM) (c tpm.Counter, value uint64) {
	t.Helper()
	mark := tpm.NewSecret()
	c = tpm.Counter{Index: 0x0181d1e5, Auth: tpm.NewSecret()}
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) (err error) {
		if c.Name, err = tpm.CounterName(c.Index, mark); err == nil {
			err = conn.Define(nil, c.Index, c.Auth, mark)
		}
		if err != nil {
			return err
		}
		name, _, err := conn.NameAt(c.Index, mark)
		if err == nil {
			err = conn.IncrementCounter(tpm.Counter{Index: c.Index, Name: name, Auth: c.Auth})
		}
		if err == nil {
			value, err = conn.ReadCounter(c)
		}
		return err
	})
	return c, value
}
