// SPDX-License-Identifier: Apache-2.0

// Package system_test runs the whole of digestd: the daemon as it is shipped,
// on a root of its own, with the rpm of this machine, the plugin within it, a
// private bus and digestctl. Nothing in it is imitated.
package system_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/integration/tokentest"
	"github.com/rogpeppe/go-internal/testscript"
)

// programs is what is tested, with failpoints.
var programs pkgtest.Programs

func TestMain(m *testing.M) {
	if os.Getenv(strangerVariable) != "" {
		os.Exit(beStranger())
	}
	if os.Getenv(withoutKeysVariable) != "" {
		fmt.Fprintln(os.Stderr, runWithoutKeys(os.Args[1:]))
		os.Exit(1)
	}
	pkgtest.Main(m, func(s *pkgtest.Setup) (err error) {
		if programs, err = pkgtest.BuildPrograms(s.Dir, "failpoint"); err != nil {
			return err
		}
		return tokentest.BuildHelper(s.Dir)
	})
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
			m := machineIn(env.T().(testing.TB), env.WorkDir)
			env.Values[machineKey{}] = m
			env.Setenv("ROOT", m.Root.Dir)
			env.Setenv("LISTS", m.Lists())
			env.Setenv("STATE", m.State())
			env.Setenv("PACKAGES", m.Made)
			env.Setenv("BUILT", programs.Dir)
			return nil
		},
	})
}
