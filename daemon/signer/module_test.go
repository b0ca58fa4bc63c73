// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/signer"
)

// TestHostileModules: whatever a module does, every Sign ends in time with a
// reason, and no program is left behind.
func TestHostileModules(t *testing.T) {
	needHelper(t)
	for name, test := range map[string]struct{ code, want string }{
		"crashes": {`#include <stdlib.h>
			unsigned long C_GetFunctionList(void **list) { abort(); }`, "digestd-pkcs11 ended"},
		"exits": {`#include <stdlib.h>
			#include <stdio.h>
			unsigned long C_GetFunctionList(void **list) { fputs("no licence\n", stderr); exit(3); }`, `exit status 3): "no licence"`},
		"hangs": {`#include <unistd.h>
			unsigned long C_GetFunctionList(void **list) { for (;;) pause(); }`, "did not answer in time"},
		"babbles": {`#include <unistd.h>
			unsigned long C_GetFunctionList(void **list) { write(1, "\xff\xff\xff and more", 12); return 5; }`, "type 0xff has 65535 bytes"},
		"lies": {`#include <unistd.h>
			unsigned long C_GetFunctionList(void **list) { write(1, "\x82\x00\x00\x83\x00\x40" "0123456789012345678901234567890123456789012345678901234567890123", 70); for (;;) pause(); }`,
			"does not verify"},
		"is none": {`int nothing;`, "cannot load PKCS#11 module"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			source, module := filepath.Join(dir, "m.c"), filepath.Join(dir, "m.so")
			if err := os.WriteFile(source, []byte(test.code), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("cc", "-w", "-shared", "-fPIC", "-o", module, source).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			s := load(t, []byte("pkcs11:token=a;object=b;id=%01?module-path="+module), key.Public())
			started := time.Now()
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					if err := sign(s, "x"); err == nil {
						t.Error("it signed")
					}
				})
			}
			group.Wait()
			// A second more for the program to go by itself.
			if d := time.Since(started); d > signer.SignTimeout+3*time.Second {
				t.Errorf("four signatures took %v", d)
			}
			if err := s.Failure(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
			s.Close()
			if users := mapping(t, module); len(users) > 0 {
				t.Errorf("the module is still loaded in %v", users)
			}
		})
	}
}
