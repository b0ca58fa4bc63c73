// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
)

func TestMain(m *testing.M) {
	ctltest.MainOf(m, rootCommand, main)
}

// Sessions that need all verbs; the others lie beside the verbs that they are of.
func TestScripts(t *testing.T) { ctltest.Scripts(t) }
