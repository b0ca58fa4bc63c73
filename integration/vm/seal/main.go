// SPDX-License-Identifier: Apache-2.0

// Command seal asks a kernel without the Integrity Digest Cache what it thinks
// of digestd's PKCS#7 signatures. It signs a file's fs-verity digest exactly as
// digestd signs lists, and has the kernel check that when it turns fs-verity on:
// the kernel's PKCS#7 parser is the one that modules and digest lists go through.
//
//	seal KEY CERTIFICATE REFERENCE FILE
//
// REFERENCE is what the signature is for; fs-verity is turned on for it without
// a signature, so that the kernel says its digest. FILE is what gets the
// signature. The exit status is 0 when the kernel took it and 3 when it refused.
package main

import (
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/digestd/digestd/digestlist"
	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: seal KEY CERTIFICATE REFERENCE FILE")
		os.Exit(2)
	}
	err := seal(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	var refused unix.Errno
	switch {
	case errors.As(err, &refused):
		fmt.Println("refused:", err)
		os.Exit(3)
	case err != nil:
		fmt.Fprintln(os.Stderr, "seal:", err)
		os.Exit(1)
	}
}

func seal(keyFile, certFile, reference, file string) error {
	key, cert, err := identity(keyFile, certFile)
	if err != nil {
		return err
	}
	if err := enable(reference, nil); err != nil {
		return fmt.Errorf("cannot seal %s: %v", reference, err)
	}
	message, err := formattedDigest(reference)
	if err != nil {
		return err
	}
	sig, err := digestlist.SignPKCS7(message, cert, key)
	if err != nil {
		return err
	}
	return enable(file, sig)
}

func identity(keyFile, certFile string) (crypto.Signer, *x509.Certificate, error) {
	var blocks [2]*pem.Block
	for i, name := range []string{keyFile, certFile} {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		if blocks[i], _ = pem.Decode(data); blocks[i] == nil {
			return nil, nil, fmt.Errorf("%s is not PEM", name)
		}
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[0].Bytes)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(blocks[1].Bytes)
	return key.(crypto.Signer), cert, err
}

// enable turns fs-verity on, with a signature unless it is empty.
func enable(name string, sig []byte) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	arg := unix.FsverityEnableArg{Version: 1, Hash_algorithm: unix.FS_VERITY_HASH_ALG_SHA256, Block_size: 4096, Sig_size: uint32(len(sig))}
	if len(sig) > 0 {
		arg.Sig_ptr = uint64(uintptr(unsafe.Pointer(&sig[0])))
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.FS_IOC_ENABLE_VERITY, uintptr(unsafe.Pointer(&arg)))
	runtime.KeepAlive(sig)
	if errno != 0 {
		return errno
	}
	return nil
}

// formattedDigest returns what a signature of fs-verity covers: struct
// fsverity_formatted_digest of include/uapi/linux/fsverity.h, little-endian.
func formattedDigest(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := struct {
		head   unix.FsverityDigest
		digest [32]byte
	}{head: unix.FsverityDigest{Size: 32}}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.FS_IOC_MEASURE_VERITY, uintptr(unsafe.Pointer(&buf))); errno != 0 {
		return nil, fmt.Errorf("cannot measure %s: %v", name, errno)
	}
	message := []byte("FSVerity")
	message = binary.LittleEndian.AppendUint16(message, buf.head.Algorithm)
	message = binary.LittleEndian.AppendUint16(message, buf.head.Size)
	return append(message, buf.digest[:buf.head.Size]...), nil
}
