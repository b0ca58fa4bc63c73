// SPDX-License-Identifier: Apache-2.0

// Package system_test runs the whole of digestd: the daemon as it is shipped,
// on a root of its own, with the rpm of this machine, the plugin within it, a
// private bus and digestctl. Nothing in it is imitated.
package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/tokentest"
	"github.com/rogpeppe/go-internal/testscript"
)

// built is where the programs under test are.
var built string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set the tests up:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Getenv(strangerVariable) != "" {
		return beStranger(), nil
	}
	if program := os.Getenv(withoutKeysVariable); program != "" {
		return 1, runWithoutKeys(program)
	}
	if built, err = os.MkdirTemp("", "digestd-system-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(built)
	if err := tokentest.BuildHelper(built); err != nil {
		return 1, err
	}
	for _, args := range [][]string{
		{"go", "build", "-tags", "failpoint", "-o", built, "../../cmd/digestd", "../../cmd/digestctl"},
		{"make", "-s", "-C", "../../hooks/rpm", "-B", "digestd.so"},
		{"cp", "../../hooks/rpm/digestd.so", filepath.Join(built, "digestd.so")},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return m.Run(), nil
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"key":       scriptKey,
			"package":   scriptPackage,
			"rpm":       scriptRPM,
			"digestctl": scriptDigestctl,
			"digestd":   scriptDigestd,
			"lists":     scriptLists,
			"label":     scriptLabel,
			"revoked":   scriptRevoked,
			"signer":    scriptSigner,
			"crl":       scriptCRL,
			"logged":    scriptLogged,
			"blacklist": scriptBlacklist,
		},
		Setup: func(env *testscript.Env) error {
			mc, err := newMachine(env.T().(testing.TB), env.WorkDir)
			if err != nil {
				return err
			}
			env.Values[machineKey{}] = mc
			env.Setenv("ROOT", mc.path("root"))
			env.Setenv("LISTS", filepath.Join(mc.place, "lists"))
			env.Setenv("STATE", mc.state)
			env.Setenv("PACKAGES", mc.path("packages"))
			env.Setenv("BUILT", built)
			return nil
		},
	})
}
