// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/daemon/signer/token"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// helperName is the program that loads PKCS#11 modules.
const helperName = "digestd-pkcs11"

// moduleVariables name the configuration of modules. The helper inherits no other variables.
var moduleVariables = []string{"SOFTHSM2_CONF", "KRYOPTIC_CONF", "TPM2_PKCS11_STORE", "YUBIHSM_PKCS11_CONF"}

// farewell is the time that a module has for an orderly end.
const farewell = time.Second

type tokenPlace struct{ token.URI }

// next returns the URI of a new key with a label and ID that no other key has.
func (p tokenPlace) next() token.URI {
	u := p.URI
	u.ID = make([]byte, 16)
	rand.Read(u.ID)
	u.Object += "-" + hex.EncodeToString(u.ID[:4])
	return u
}

func (p tokenPlace) create(ctx context.Context) ([]byte, *ecdsa.PublicKey, error) {
	u := p.next()
	h, err := startHelper()
	if err != nil {
		return nil, nil, err
	}
	defer h.close()
	reply, err := h.call(ctx, token.Create, []byte(u.String()), token.Created)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", u.Key(), err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), reply)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", u.Key(), err)
	}
	return []byte(u.String() + "\n"), public, nil
}

// openToken returns a connection to the key that u names.
func openToken(ctx context.Context, u token.URI) (connection, error) {
	h, err := startHelper()
	if err != nil {
		return nil, err
	}
	if _, err := h.call(ctx, token.Open, []byte(u.String()), token.Opened); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// helper is a running digestd-pkcs11.
type helper struct {
	cmd  *exec.Cmd
	in   *os.File // its standard input
	out  *os.File // its standard output
	said tail
}

func startHelper() (_ *helper, err error) {
	path, err := findHelper()
	if err != nil {
		return nil, err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", path, err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		theirIn.Close()
		in.Close()
		return nil, fmt.Errorf("cannot start %s: %w", path, err)
	}
	h := &helper{cmd: exec.Command(path), in: in, out: out}
	h.cmd.Stdin, h.cmd.Stdout, h.cmd.Stderr = theirIn, theirOut, &h.said
	h.cmd.Dir = "/"
	h.cmd.WaitDelay = farewell
	h.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	for _, name := range moduleVariables {
		if value, set := os.LookupEnv(name); set {
			h.cmd.Env = append(h.cmd.Env, name+"="+value)
		}
	}
	err = h.cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, fmt.Errorf("cannot start %s: %w", path, err)
	}
	return h, nil
}

// findHelper looks beside digestd, where the build puts it, and then where it is installed. It
// never searches PATH.
func findHelper() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot find %s: %w", helperName, err)
	}
	installed := filepath.Join(filepath.Dir(self), "..", "libexec", "digestd", helperName)
	for _, path := range []string{filepath.Join(filepath.Dir(self), helperName), installed} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("%s is missing, which loads PKCS#11 modules: install it", installed)
}

// call sends a request and returns the payload of its reply.
func (h *helper) call(ctx context.Context, request token.Type, payload []byte, want token.Type) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() {
		h.in.SetDeadline(time.Unix(1, 0))
		h.out.SetDeadline(time.Unix(1, 0))
	})
	defer stop()
	err := token.WriteFrame(h.in, request, payload)
	var (
		got   token.Type
		reply []byte
	)
	if err == nil {
		got, reply, err = token.ReadFrame(h.out)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, h.died(err)
	case got == token.Failed:
		return nil, errors.New(string(reply))
	case got != want:
		return nil, fmt.Errorf("%s answers %#02x with %#02x", helperName, uint8(request), uint8(got))
	}
	return reply, nil
}

// died describes the end of a helper whose streams have ended.
func (h *helper) died(cause error) error {
	h.close()
	return fmt.Errorf("%s ended: %w (%v)%s", helperName, cause, h.cmd.ProcessState, h.said.last())
}

func (h *helper) sign(ctx context.Context, digest []byte) ([]byte, error) {
	raw, err := h.call(ctx, token.Sign, digest, token.Signature)
	if err != nil {
		return nil, err
	}
	half := len(raw) / 2
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[:half]))
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[half:]))
	})
	return b.Bytes()
}

// close ends the helper. The helper exits when its input ends; otherwise it is killed.
func (h *helper) close() {
	if h.cmd.ProcessState != nil {
		return
	}
	h.in.Close()
	kill := time.AfterFunc(farewell, func() { h.cmd.Process.Kill() })
	h.cmd.Wait()
	kill.Stop()
	h.out.Close()
}

// tail keeps the last part of a helper's standard error. It is read after the helper has ended.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	const enough = 512
	t.text = append(t.text, p[max(0, len(p)-enough):]...)
	t.text = t.text[max(0, len(t.text)-enough):]
	return len(p), nil
}

func (t *tail) last() string {
	lines := bytes.Split(bytes.TrimSpace(t.text), []byte("\n"))
	if line := lines[len(lines)-1]; len(line) > 0 {
		return fmt.Sprintf(": %q", line)
	}
	return ""
}
