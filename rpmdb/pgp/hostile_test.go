// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/rpmdb/pgp"
)

// TestHostileCertificates reads as much as is read at all, of what takes longest,
// and of what is most wrong.
func TestHostileCertificates(t *testing.T) {
	const limit = 1 << 20
	ec, rsa := ecKey(packet.CurveNistP521), rsaKey()
	for _, test := range []struct {
		name string
		data []byte
		text string // part of the error, "" if there is none
		weak string // part of why the first certificate is weak
	}{
		{"self-signatures by P-521", full(limit, cert(t, ec, user("x"), times(60, certifiedBy(nil, "x")))), "part the certificates among several files", ""},
		{"self-signatures by RSA of 8192 bits", full(limit, forgeries(rsaBody(8192), 1, 1024, 250)), "part the certificates", ""},
		{"self-signatures by RSA of 16384 bits", full(limit, forgeries(rsaBody(16384), 1, 2048, 250)), "", "16384 bits is too long"},
		{"self-signatures by RSA of 512 bits", full(limit, forgeries(rsaBody(512), 1, 64, 250)), "more than 4096 packets", "512 bits is too short"},
		{"self-signatures by brainpool", full(limit, cert(t, ecKey(packet.CurveBrainpoolP512), user("x"), times(250, certifiedBy(nil, "x")))), "more than 4096 packets", "is not accepted"},
		{"self-signatures by DSA of 65535 bits", full(limit, forgeries(dsaBody(), 17, 8191, 50)), "", "DSA keys are not accepted"},
		{"subkeys of DSA", cert(t, rsa, user("x"), times(60, func(testing.TB, *packet.PrivateKey) []byte { return packetOf(14, dsaBody()[:16000]) })), "", ""},
		{"many user IDs", cert(t, rsa, times(200_000, userID("x"))), "more than 4096 packets", ""},
		{"large key", packetOf(6, append([]byte{6, 0, 0, 0, 0, 1}, make([]byte, limit-20)...)), "key is too large", ""},
		{"large signature", append(cert(t, rsa, userID("x")), packetOf(2, append([]byte{4, 0x13, 1, 8}, make([]byte, limit/2)...))...), "", "more than any signature"},
		{"many subpackets", append(cert(t, rsa, userID("x")), full(limit/2, packetOf(2, subpackets(60_000)))...), "", "no valid self-signature"},
		{"nested signatures", append(cert(t, rsa, userID("x")), full(limit/2, packetOf(2, nested(60_000)))...), "", "no valid self-signature"},
		{"packet that claims gigabytes", append(cert(t, rsa, user("x")), 0xcd, 0xff, 0xff, 0xff, 0xff, 0xff), "cut short", ""},
		{"partial length", append(cert(t, rsa, user("x")), 0xcd, 0xe1, 'x', 'y', 1, 'z'), "partial length", ""},
		{"indeterminate length", append(cert(t, rsa, user("x")), 0xb7, 'x'), "no length", ""},
		{"markers", cert(t, rsa, times(1000, raw(0xc0|10, 'P', 'G', 'P')), user("x"), times(1000, raw(0xc0|10, 'P', 'G', 'P'))), "", ""},
		{"markers without a key", bytes.Repeat([]byte("\xca\x03PGP"), 4000), "there is none", ""},
		{"keys of no kind", bytes.Repeat(raw(0xc6, 9, 0, 0, 0, 0, 1)(t, nil), 4000), "cannot read 3992 more certificates", ""},
		{"armor that never ends", bytes.Repeat([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), limit/38), "there is none", ""},
		{"armor with an endless line", append([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n"), bytes.Repeat([]byte("A"), limit-100)...), "damaged", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			started := processorTime(t)
			certs, err := pgp.ParseCerts(test.data)
			pgp.NewKeyring(certs...)
			took := processorTime(t) - started
			if took > time.Second*slowdown {
				t.Errorf("%d bytes took %v", len(test.data), took)
			}
			if got := fmt.Sprint(err); (err == nil) != (test.text == "") || err != nil && !strings.Contains(got, test.text) || len(got) > 4096 {
				t.Errorf("got %d bytes, %.200q, want %q", len(got), got, test.text)
			}
			if test.weak != "" && (len(certs) == 0 || !strings.Contains(certs[0].Weak, test.weak)) {
				t.Errorf("got %d certificates, not one that is weak for %q", len(certs), test.weak)
			}
		})
	}
}

// processorTime is what this process has used, however busy others are.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// full repeats data up to a size.
func full(size int, data []byte) []byte { return bytes.Repeat(data, size/len(data)) }

func packetOf(tag byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0xc0 | tag, 0xff}, uint32(len(body))), body...)
}

// mpi is a random odd integer of n bytes with its highest bit set.
func mpi(seed byte, n int) []byte {
	random := rand.NewChaCha8([32]byte{seed})
	b := make([]byte, n)
	random.Read(b)
	b[0] |= 0x80
	b[n-1] |= 1
	return append(binary.BigEndian.AppendUint16(nil, uint16(n*8)), b...)
}

func rsaBody(bits int) []byte {
	return append(append([]byte{4, 0x65, 0x92, 0, 0x80, 1}, mpi(0, bits/8)...), 0, 17, 1, 0, 1)
}

func dsaBody() []byte {
	b := []byte{4, 0x65, 0x92, 0, 0x80, 17}
	for i := range byte(4) {
		b = append(b, mpi(i, 8191)...)
	}
	return b
}

// subpackets is the body of a signature with as many subpackets as its bytes hold.
func subpackets(size int) []byte {
	area := bytes.Repeat([]byte{1, 101}, size/2) // of a private type, empty
	b := binary.BigEndian.AppendUint16([]byte{4, 0x13, 1, 8}, uint16(len(area)))
	return append(append(b, area...), 0, 0, 0, 0)
}

// nested is the body of a signature that holds one that holds one.
func nested(size int) []byte {
	inner := []byte{4, 0x19, 1, 8, 0, 0, 0, 0, 0, 0}
	for len(inner) < size {
		area := append(binary.BigEndian.AppendUint32([]byte{0xff}, uint32(len(inner)+1)), 32)
		area = append(area, inner...)
		inner = append(binary.BigEndian.AppendUint16([]byte{4, 0x19, 1, 8}, uint16(len(area))), area...)
		inner = append(inner, 0, 0, 0, 0)
	}
	return inner
}

// forgeries is a certificate with so many wrong signatures.
func forgeries(key []byte, algo byte, size, n int) []byte {
	out := packetOf(6, key)
	out = append(out, 0xc0|13, 1, 'x')
	id := fingerprintOf(key)
	sig := []byte{4, 0x13, algo, 8, 0, 6, 5, 2, 0x65, 0x92, 0, 0x80, 0, 10, 9, 16}
	sig = append(append(sig, id[12:]...), 0, 0)
	sig = append(sig, mpi(8, size-1)...)
	if algo == 17 {
		sig = append(sig, mpi(9, size-1)...)
	}
	return append(out, bytes.Repeat(packetOf(2, sig), n)...)
}

func fingerprintOf(key []byte) []byte {
	sum := sha1.Sum(append(binary.BigEndian.AppendUint16([]byte{0x99}, uint16(len(key))), key...))
	return sum[:]
}
