// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"time"
)

// VerifyDetached verifies the detached signature of a file, armored or binary. It judges as
// [Keyring.Verify] does.
func (k *Keyring) VerifyDetached(data, signature []byte, now time.Time) (*Result, error) {
	if len(signature) > maxInput {
		return nil, &BadSignatureError{Reason: fmt.Sprintf("%d bytes are too many", len(signature))}
	}
	if p, _, err := nextPacket(signature); err != nil || p.tag != tagSignature {
		body, kind, err := nextBlock(bufio.NewReader(bytes.NewReader(signature)))
		if err == nil && kind != "PGP SIGNATURE" {
			err = fmt.Errorf("block is a %q", kind)
		}
		if err != nil {
			return nil, &BadSignatureError{Reason: err.Error()}
		}
		signature = body
	}
	var closest error
	for seen := 0; len(signature) > 0; seen++ {
		_, rest, err := nextPacket(signature)
		if err == nil && seen == maxSignatures {
			err = fmt.Errorf("there are more than %d signatures", maxSignatures)
		}
		if err != nil {
			return nil, &BadSignatureError{Reason: err.Error()}
		}
		result, err := k.verify(message{region: data, plain: true}, signature[:len(signature)-len(rest)], now)
		var bad *BadSignatureError
		switch {
		case err == nil:
			return result, nil
		case errors.As(err, &bad):
			return nil, err
		case closest == nil || rank(err) > rank(closest):
			closest = err
		}
		signature = rest
	}
	if closest == nil {
		closest = ErrUnsigned
	}
	return nil, closest
}
