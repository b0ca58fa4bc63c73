// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"bytes"
	"encoding/binary"
)

// SigType is the kind of an appended signature (kernel: enum pkey_id_type,
// include/linux/module_signature.h).
type SigType uint8

const (
	SigPGP   SigType = 0 // an OpenPGP signature packet, which stock kernels do not verify
	SigX509  SigType = 1
	SigPKCS7 SigType = 2 // DER of a PKCS#7 message
)

// An appended signature is the signature, struct module_signature and a mark.
const (
	sigMark       = "~Module signature appended~\n"
	sigStructSize = 12
	sigTypeAt     = 2
	sigLengthAt   = 8
)

// AppendSignature appends body and then its signature, as the kernel expects it
// at the end of a list.
func AppendSignature(dst, body, sig []byte, t SigType) []byte {
	dst = append(append(dst, body...), sig...)
	dst = append(dst, 0, 0, byte(t), 0, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(sig)))
	return append(dst, sigMark...)
}

// SplitSignature splits a list file into body and signature, both parts of file. The error is
// ErrUnsigned if the mark is missing, and a *SyntaxError if the part before the mark is
// malformed for the kernel.
func SplitSignature(file []byte) (body, sig []byte, t SigType, err error) {
	rest, marked := bytes.CutSuffix(file, []byte(sigMark))
	if !marked {
		return nil, nil, 0, ErrUnsigned
	}
	at := len(rest) - sigStructSize
	if at < 0 {
		return nil, nil, 0, syntax(0, "module_signature", "%d bytes before the mark, want %d", len(rest), sigStructSize)
	}
	head := rest[at:]
	for i, field := range [...]string{0: "algo", 1: "hash", 3: "signer_len", 4: "key_id_len", 5: "pad", 6: "pad", 7: "pad"} {
		if field != "" && head[i] != 0 {
			return nil, nil, 0, syntax(at+i, field, "%d, want 0", head[i])
		}
	}
	t = SigType(head[sigTypeAt])
	if t > SigPKCS7 {
		return nil, nil, 0, syntax(at+sigTypeAt, "id_type", "unknown number %d", t)
	}
	length := binary.BigEndian.Uint32(head[sigLengthAt:])
	switch {
	case length == 0:
		return nil, nil, 0, syntax(at+sigLengthAt, "sig_len", "the signature is empty")
	case uint64(length) >= uint64(at):
		return nil, nil, 0, syntax(at+sigLengthAt, "sig_len", "%d bytes, but the file has %d before it and needs a body", length, at)
	}
	split := at - int(length)
	return file[:split:split], file[split:at:at], t, nil
}
