// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// idleTimeout is how long an unused connection stays open. Signatures come in bursts; in
// between, other programs can use the TPM's slot and the module's memory is free. It also ends
// the helper of a key that was replaced.
const idleTimeout = time.Minute

// connection is an open connection to a key. One goroutine uses it at a time.
type connection interface {
	// sign returns an ASN.1 signature (RFC 3279 §2.2.3) of a SHA-256 digest.
	sign(ctx context.Context, digest []byte) ([]byte, error)
	close()
}

// remote is a key in a token or a TPM.
type remote struct {
	where  string
	public *ecdsa.PublicKey
	open   func(context.Context) (connection, error)

	failure atomic.Pointer[error]
	turn    chan struct{} // the right to use the fields below; taken by receiving
	conn    connection    // nil if there is none
	closed  bool
	idle    *time.Timer // closes conn
}

func newRemote(where string, public *ecdsa.PublicKey, open func(context.Context) (connection, error)) *remote {
	r := &remote{where: where, public: public, open: open, turn: make(chan struct{}, 1)}
	r.idle = time.AfterFunc(idleTimeout, r.rest)
	r.turn <- struct{}{}
	return r
}

func (r *remote) Public() crypto.PublicKey { return r.public }

func (r *remote) String() string { return r.where }

func (r *remote) Failure() error {
	if err := r.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (r *remote) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, fmt.Errorf("cannot sign %d bytes of %v: only SHA-256 digests", len(digest), opts.HashFunc())
	}
	ctx, cancel := context.WithTimeout(context.Background(), SignTimeout)
	defer cancel()
	return r.sign(ctx, digest, false)
}

func (r *remote) Check(ctx context.Context) error {
	digest := sha256.Sum256([]byte("digestd asks whether its key is there"))
	_, err := r.sign(ctx, digest[:], true)
	return err
}

func (r *remote) sign(ctx context.Context, digest []byte, again bool) (sig []byte, err error) {
	select {
	case <-r.turn:
	case <-ctx.Done():
		// This is not a failure of the token: the caller that has the turn reports those.
		return nil, fmt.Errorf("cannot sign with %s: others keep it busy", r.where)
	}
	defer func() { r.turn <- struct{}{} }()
	if r.closed {
		return nil, errClosed
	}
	if err := r.Failure(); err != nil && !again {
		return nil, err
	}
	defer r.idle.Reset(idleTimeout)
	used := r.conn != nil
	if sig, err = r.once(ctx, digest); err != nil && used && ctx.Err() == nil {
		// A connection from an earlier call may have ended meanwhile.
		sig, err = r.once(ctx, digest)
	}
	if err != nil {
		return nil, r.failed(err)
	}
	r.failure.Store(nil)
	return sig, nil
}

// once signs over the open connection, or over a new one. After an error no connection is open.
func (r *remote) once(ctx context.Context, digest []byte) (sig []byte, err error) {
	if r.conn == nil {
		if r.conn, err = r.open(ctx); err != nil {
			r.conn = nil
			return nil, err
		}
	}
	if sig, err = r.conn.sign(ctx, digest); err == nil && !ecdsa.VerifyASN1(r.public, digest, sig) {
		err = errors.New("what it signs does not verify: it is another key than the certificate's, or broken")
	}
	if err != nil {
		r.conn.close()
		r.conn = nil
	}
	return sig, err
}

func (r *remote) failed(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("it did not answer in time")
	}
	err = fmt.Errorf("cannot sign with %s: %w", r.where, err)
	r.failure.Store(&err)
	return err
}

// rest closes a connection that has not been used for a while.
func (r *remote) rest() {
	select {
	case <-r.turn:
	default:
		return // in use: the end of that use sets the timer again
	}
	defer func() { r.turn <- struct{}{} }()
	r.disconnect()
}

func (r *remote) disconnect() {
	if r.conn != nil {
		r.conn.close()
		r.conn = nil
	}
}

// Release closes the connection. It waits for a Sign in progress.
func (r *remote) Release() {
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	r.disconnect()
}

// Close closes the connection for good. It waits for a Sign in progress.
func (r *remote) Close() error {
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	r.closed = true
	r.idle.Stop()
	r.disconnect()
	return nil
}
