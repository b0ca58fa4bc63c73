// SPDX-License-Identifier: Apache-2.0

// Command probe is a file of a package that the package's own scriptlet runs: it
// looks whether it is vouched for, at that moment, as a kernel would. Its answer
// is in /probe.
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	lists  = "/etc/digestd/lists"
	answer = "/probe"
)

func main() {
	text := "vouched for"
	if err := vouched(); err != nil {
		text = err.Error()
	}
	if err := os.WriteFile(answer, []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// vouched fails unless the list that this program is labelled with holds its
// digest.
func vouched() error {
	self := os.Args[0] // as rpm ran it; there is no /proc here
	program, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	label := make([]byte, 256)
	n, err := syscall.Getxattr(self, "security.digest_list", label)
	if err != nil {
		return fmt.Errorf("cannot read label: %w", err)
	}
	list, err := os.ReadFile(filepath.Join(lists, string(label[:n])))
	if err != nil {
		return err
	}
	if digest := sha256.Sum256(program); !bytes.Contains(list, digest[:]) {
		return fmt.Errorf("list %s does not hold the digest of %s", label[:n], self)
	}
	return nil
}
