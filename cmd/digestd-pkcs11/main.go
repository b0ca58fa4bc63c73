// SPDX-License-Identifier: Apache-2.0

//go:build cgo

// Command digestd-pkcs11 loads a PKCS#11 module for digestd, which asks it for signatures
// through its standard input and output; see package token. It is a program of its own because
// a module is C code of others: a fault in it stays in this process. It reads the PIN from the
// file that the URI names, and ends when its input does, even while the module hangs.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/digestd/digestd/daemon/signer/token"
	"golang.org/x/sys/unix"
)

type request struct {
	kind    token.Type
	payload []byte
}

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "digestd-pkcs11: digestd starts it, without arguments")
		os.Exit(2)
	}
	// The PIN and the module's secrets are in this memory.
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	requests := make(chan request)
	go func() {
		for {
			kind, payload, err := token.ReadFrame(os.Stdin)
			if err == io.EOF {
				os.Exit(0)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "digestd-pkcs11:", err)
				os.Exit(1)
			}
			requests <- request{kind, payload}
		}
	}()
	var m module
	for r := range requests {
		kind, reply, err := m.serve(r)
		if err != nil {
			kind, reply = token.Failed, []byte(err.Error())
		}
		if err := token.WriteFrame(os.Stdout, kind, reply); err != nil {
			fmt.Fprintln(os.Stderr, "digestd-pkcs11:", err)
			os.Exit(1)
		}
	}
}
