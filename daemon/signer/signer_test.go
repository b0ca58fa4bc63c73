// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/integration/tokentest"
)

// buildHelper puts digestd-pkcs11 where it is looked for: beside this program, in
// a directory that goes with it.
var buildHelper = sync.OnceValue(func() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return tokentest.BuildHelper(filepath.Dir(self))
})

func needHelper(tb testing.TB) {
	tb.Helper()
	if err := buildHelper(); err != nil {
		tb.Fatal(err)
	}
}

// outside is a place outside of files that can go away and come back.
type outside struct {
	where      string
	gone, back func()
	says       string // of the one that is gone
}

func newToken(tb testing.TB) outside {
	tb.Helper()
	needHelper(tb)
	token := tokentest.NewToken(tb, tb.TempDir(), "test")
	name, value, _ := strings.Cut(token.Env(), "=")
	tb.Setenv(name, value)
	must := func(fn func() error) func() {
		return func() {
			if err := fn(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return outside{token.Where(), must(token.Remove), must(token.Insert), token.Module}
}

func newTPM(tb testing.TB) outside {
	tb.Helper()
	tpm := tokentest.NewTPM(tb, filepath.Join(tb.TempDir(), "tpm"))
	return outside{tpm.Where(), tpm.Stop, tpm.Start, tpm.Socket}
}

var outsides = map[string]func(testing.TB) outside{"PKCS11": newToken, "TPM": newTPM}

func create(tb testing.TB, where string) ([]byte, signer.Signer) {
	tb.Helper()
	file, s, err := signer.Create(tb.Context(), where)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return file, s
}

func load(tb testing.TB, file []byte, public crypto.PublicKey) signer.Signer {
	tb.Helper()
	s, err := signer.Load(file, public)
	if err != nil {
		tb.Fatalf("%v\n%s", err, file)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// sign has s sign a message, and checks what it signs.
func sign(s signer.Signer, message string) error {
	digest := sha256.Sum256([]byte(message))
	sig, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil && !ecdsa.VerifyASN1(s.Public().(*ecdsa.PublicKey), digest[:], sig) {
		err = fmt.Errorf("signature of %q does not verify", message)
	}
	return err
}

func TestFileKey(t *testing.T) {
	file, s := create(t, "")
	if err := sign(s, "x"); err != nil {
		t.Error(err)
	}
	if err := sign(load(t, file, s.Public()), "y"); err != nil {
		t.Error(err)
	}
	_, other := create(t, "")
	if _, err := signer.Load(file, other.Public()); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("loaded for another public key: %v", err)
	}
}

// TestKeyOutsideOfFiles: made once, it signs after its file was read again, while
// another is made beside it, and by many at a time.
func TestKeyOutsideOfFiles(t *testing.T) {
	for name, make := range outsides {
		t.Run(name, func(t *testing.T) {
			place := make(t)
			file, first := create(t, place.where)
			if strings.Contains(string(file), "BEGIN PRIVATE KEY") {
				t.Fatalf("the file has the key:\n%s", file)
			}
			again := load(t, file, first.Public())
			second, next := create(t, place.where)
			if next.Public().(*ecdsa.PublicKey).Equal(first.Public()) {
				t.Fatal("the second key is the first one")
			}
			// One after the other: a TPM without a resource manager has one user.
			for i, s := range []signer.Signer{first, again, next, load(t, second, next.Public())} {
				if err := s.Check(t.Context()); err != nil {
					t.Errorf("%d: %v", i, err)
				}
				var group sync.WaitGroup
				for n := range 8 {
					group.Go(func() {
						for m := range 4 {
							if err := sign(s, fmt.Sprint(n, m)); err != nil {
								t.Error(i, err)
							}
						}
					})
				}
				group.Wait()
				s.Close()
				if err := sign(s, "x"); err == nil {
					t.Errorf("%d signs after Close", i)
				}
			}
		})
	}
}

// TestTokenGoesAndComesBack: without its token a key fails at once, and says why;
// it signs again once it was looked for.
func TestTokenGoesAndComesBack(t *testing.T) {
	for name, make := range outsides {
		t.Run(name, func(t *testing.T) {
			place := make(t)
			file, made := create(t, place.where)
			made.Close()
			place.gone()
			s := load(t, file, made.Public())
			if !s.Public().(*ecdsa.PublicKey).Equal(made.Public()) {
				t.Error("without its token it has another public key")
			}
			err := sign(s, "x")
			if err == nil || !strings.Contains(err.Error(), place.says) {
				t.Fatalf("without its token: %v; want it to name %s", err, place.says)
			}
			if s.Failure() == nil {
				t.Error("it does not know that it failed")
			}
			if _, _, err := signer.Create(t.Context(), place.where); err == nil {
				t.Error("a key was made without a token")
			}
			if err := s.Check(t.Context()); err == nil {
				t.Error("it is said to be there")
			}
			place.back()
			if err := sign(s, "y"); err == nil {
				t.Error("it was asked again although nobody looked for it")
			}
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := sign(s, "z"); err != nil || s.Failure() != nil {
				t.Error(err, s.Failure())
			}
		})
	}
}

// TestInterruptedUse: what was connected dies between two signatures; the next
// one connects again by itself.
func TestInterruptedUse(t *testing.T) {
	t.Run("TPM", func(t *testing.T) {
		place := newTPM(t)
		_, s := create(t, place.where)
		if err := sign(s, "x"); err != nil {
			t.Fatal(err)
		}
		place.gone()
		place.back()
		if err := sign(s, "y"); err != nil {
			t.Error(err)
		}
	})
	t.Run("PKCS11", func(t *testing.T) {
		place := newToken(t)
		_, s := create(t, place.where)
		if err := sign(s, "x"); err != nil {
			t.Fatal(err)
		}
		if killHelpers(t) == 0 {
			t.Fatal("no digestd-pkcs11 runs")
		}
		if err := sign(s, "y"); err != nil {
			t.Error(err)
		}
		s.Close()
		if n := killHelpers(t); n != 0 {
			t.Errorf("%d digestd-pkcs11 are left", n)
		}
	})
}

// TestHangingTPM: callers wait once for a TPM that does not answer, and in vain
// not at all.
func TestHangingTPM(t *testing.T) {
	tpm := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	_, s := create(t, tpm.Where())
	if err := sign(s, "x"); err != nil {
		t.Fatal(err)
	}
	tpm.Hang()
	started := time.Now()
	for range 100 {
		if err := sign(s, "y"); err == nil || !strings.Contains(err.Error(), "did not answer in time") {
			t.Fatal(err)
		}
	}
	if d := time.Since(started); d > signer.SignTimeout+time.Second {
		t.Errorf("a hundred signatures took %v", d)
	}
	tpm.Wake()
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := sign(s, "z"); err != nil {
		t.Error(err)
	}
}

// TestOtherKeyIsNoticed: a signature by another key is none.
func TestOtherKeyIsNoticed(t *testing.T) {
	place := newToken(t)
	file, s := create(t, place.where)
	s.Close()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := sign(load(t, file, other.Public()), "x"); err == nil || !strings.Contains(err.Error(), "does not verify") {
		t.Error(err)
	}
	// A TPM's file says whose it is.
	file, _ = create(t, newTPM(t).where)
	if _, err := signer.Load(file, other.Public()); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Error(err)
	}
}

// TestCancelledCheck: a Check ends when its context does.
func TestCancelledCheck(t *testing.T) {
	for name, make := range outsides {
		t.Run(name, func(t *testing.T) {
			_, s := create(t, make(t).where)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			started := time.Now()
			if err := s.Check(ctx); err == nil {
				t.Error("it succeeded")
			}
			if d := time.Since(started); d > 3*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	for where, want := range map[string]string{
		"":                               "",
		"tpm:":                           "",
		"tpm:device=/dev/tpmrm0":         "",
		"tpm:parent=0x81000001":          "",
		"tpm:device=/s;parent=0x817fff0": "want the handle of a persistent storage key",
		"tpm:device=relative":            "want an absolute path",
		"tpm:device=/a;device=/b":        "device appears twice",
		"tpm:handle=0x81010100":          `unknown attribute "handle"`,
		"tpm:parent=0x40000001":          "want the handle of a persistent",
		"/etc/key.pem":                   "want nothing for a file",
		"pkcs11:token=a;object=b?module-path=/m.so&pin-source=file:/p":            "",
		"pkcs11:token=a;object=b;id=%01?module-path=/m.so":                        "each key gets an ID of its own",
		"pkcs11:token=a?module-path=/m.so":                                        "object= is missing",
		"pkcs11:token=a;object=" + strings.Repeat("b", 60) + "?module-path=/m.so": "longer than 64 bytes",
	} {
		err := signer.CheckPlace(where)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", where, err, want)
		}
	}
}

func TestKeyFilesRefused(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"":        "neither PEM nor a PKCS#11 URI",
		"garbage": "neither PEM nor a PKCS#11 URI",
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})):  `holds a "PUBLIC KEY"`,
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkix})): "asn1",
		"pkcs11:token=a;object=b?module-path=/m.so":                              "id= is missing",
		"pkcs11:token=a;object=b;id=%01?module-path=/m.so":                       "keys outside of files are on P-256",
		string(pem.EncodeToMemory(&pem.Block{Type: "TSS2 PRIVATE KEY"})):         "keys outside of files are on P-256",
		strings.Repeat("x", 20000):                                               "at most",
	} {
		if _, err := signer.Load([]byte(file), key.Public()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s:\n got %v\nwant %s", file, err, want)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	places := map[string]func(testing.TB) outside{"File": func(testing.TB) outside { return outside{} }}
	for name, make := range outsides {
		places[name] = make
	}
	for _, name := range []string{"File", "PKCS11", "TPM"} {
		b.Run(name, func(b *testing.B) {
			_, s := create(b, places[name](b).where)
			if err := s.Check(b.Context()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := sign(s, "list"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signatures/s")
			s.Close()
		})
	}
}
