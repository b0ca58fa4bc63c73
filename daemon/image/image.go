// SPDX-License-Identifier: Apache-2.0

// Package image reads lists that were made when an image was built, and signed by its
// builder, so that the machines which start from it need not sign them again.
//
// It vouches for nothing: what a list has to contain is known before one is looked for
// here. Only the signature is taken over, and only from a certificate that the caller
// trusts.
package image

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// maxSignature bounds what follows the body of a list.
const maxSignature = 64<<10 + 64

// Lists are those of an image. Goroutines share them; nil has none.
type Lists struct {
	dir   *os.Root
	certs []*x509.Certificate
}

// Open opens the directory of an image's lists, of which those count that one of certs
// signed. It returns nil if there is no such directory, or no certificate.
func Open(dir string, certs []*x509.Certificate) (*Lists, error) {
	if dir == "" || len(certs) == 0 {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the lists of the image: %w", err)
	}
	return &Lists{dir: root, certs: certs}, nil
}

// Close closes the directory.
func (l *Lists) Close() {
	if l != nil {
		l.dir.Close()
	}
}

// Signers are the certificates whose signatures count.
func (l *Lists) Signers() []string {
	var all []string
	for _, c := range l.Certificates() {
		all = append(all, ID(c))
	}
	return all
}

// Certificates are those whose signatures count.
func (l *Lists) Certificates() []*x509.Certificate {
	if l == nil {
		return nil
	}
	return l.certs
}

// ID names a certificate as records of lists do: by its subject key identifier.
func ID(c *x509.Certificate) string { return hex.EncodeToString(c.SubjectKeyId) }

// List is the whole file of a list.
type List struct {
	File   []byte
	Signer string // as of ID
	Wide   string // the digest that is signed, if it is not SHA-256
}

// Find returns the list of that name and body. Any other, and any that cannot be read, is
// none: what the image lacks is made anew. In the image no name has a sequence number, which
// is the machine's.
func (l *Lists) Find(name string, body []byte) (List, bool) {
	if l == nil {
		return List{}, false
	}
	file, err := l.read(digestlist.WithoutSequence(name), body)
	if err != nil {
		return List{}, false
	}
	content, sig, kind, err := digestlist.SplitSignature(file)
	if err != nil || kind != digestlist.SigPKCS7 || !bytes.Equal(content, body) {
		return List{}, false
	}
	cert, err := digestlist.VerifyPKCS7(content, sig, l.certs)
	if err != nil {
		return List{}, false
	}
	wide, err := wideDigest(cert, body)
	return List{file, ID(cert), wide}, err == nil
}

var errOther = errors.New("it is another list")

func (l *Lists) read(name string, body []byte) ([]byte, error) {
	f, err := l.dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := int64(len(body))
	if !info.Mode().IsRegular() || info.Size() <= size || info.Size() > size+maxSignature {
		return nil, errOther
	}
	return io.ReadAll(io.LimitReader(f, size+maxSignature))
}

// wideDigest is the digest of the body that a signer of that certificate signs, if it is
// another than SHA-256.
func wideDigest(cert *x509.Certificate, body []byte) (string, error) {
	if !grounds.SignsWide(cert) {
		return "", nil
	}
	hash, err := digestlist.SigningHash(cert.PublicKey)
	if err != nil {
		return "", err
	}
	h := hash.New()
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Digest is that of the whole file.
func (l List) Digest() record.Digest { return sha256.Sum256(l.File) }
