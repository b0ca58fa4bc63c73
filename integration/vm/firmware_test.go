// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// The variables of EFI that hold what the firmware trusts and what it does not
// (UEFI 2.10, section 32), and the types of their entries.
const (
	securityDatabase = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
	certX509         = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
	certSHA256       = "c1c41626-504c-4092-aca9-41f936934328"
	certX509SHA256   = "3bd2a492-96c0-4079-b420-fcf98ef103ed"
	ownerOfEntries   = "00000000-0000-0000-0000-646967657374"
)

// guid returns the bytes of one as EFI stores it.
func guid(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != 16 {
		t.Fatalf("%q: %v", text, err)
	}
	for _, field := range [][]byte{b[0:4], b[4:6], b[6:8]} {
		for i, j := 0, len(field)-1; i < j; i, j = i+1, j-1 {
			field[i], field[j] = field[j], field[i]
		}
	}
	return b
}

// signatureList makes an EFI_SIGNATURE_LIST of entries of one length.
func signatureList(t *testing.T, kind string, entries ...[]byte) []byte {
	t.Helper()
	size := 16 + len(entries[0])
	list := guid(t, kind)
	for _, n := range []int{28 + size*len(entries), 0, size} {
		list = binary.LittleEndian.AppendUint32(list, uint32(n))
	}
	for _, e := range entries {
		list = append(append(list, guid(t, ownerOfEntries)...), e...)
	}
	return list
}

// efi is a firmware for a machine, and its variables.
type efi struct{ code, vars string }

// newEFI copies OVMF's empty variables into dir and adds to them.
func newEFI(t *testing.T, dir string, variables map[string][]byte) efi {
	t.Helper()
	const place = "/usr/share/OVMF/"
	e := efi{code: place + "OVMF_CODE_4M.fd", vars: filepath.Join(dir, "variables")}
	store, err := os.ReadFile(place + "OVMF_VARS_4M.fd")
	if err != nil {
		t.Fatalf("%v; the package ovmf has it", err)
	}
	for name, data := range variables {
		if err := addVariable(t, store, name, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(e.vars, store, 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// addVariable writes behind the last variable of a store: of EDK II, a firmware
// volume whose header has its own length at 48, then 28 bytes, then variables of
// 60 bytes, name and data each (AUTHENTICATED_VARIABLE_HEADER).
func addVariable(t *testing.T, store []byte, name string, data []byte) error {
	const head, started, valid = 60, 0x55aa, 0x3f
	if string(store[40:44]) != "_FVH" {
		return errors.New("no firmware volume")
	}
	at := int(binary.LittleEndian.Uint16(store[48:])) + 28
	end := at - 28 + int(binary.LittleEndian.Uint32(store[at-12:]))
	for binary.LittleEndian.Uint16(store[at:]) == started {
		at += head + int(binary.LittleEndian.Uint32(store[at+36:])+binary.LittleEndian.Uint32(store[at+40:]))
		at = (at + 3) &^ 3
	}
	var utf []byte
	for _, c := range append(utf16.Encode([]rune(name)), 0) {
		utf = binary.LittleEndian.AppendUint16(utf, c)
	}
	if at+head+len(utf)+len(data) > end {
		return errors.New("the variables are too large")
	}
	v := make([]byte, 44, head+len(utf)+len(data))
	binary.LittleEndian.PutUint16(v, started)
	v[2] = valid
	binary.LittleEndian.PutUint32(v[4:], 0x27) // kept, for boot and run time, authenticated by time
	copy(v[16:], []byte{0xea, 0x07, 1, 1})     // the first of January 2026
	binary.LittleEndian.PutUint32(v[36:], uint32(len(utf)))
	binary.LittleEndian.PutUint32(v[40:], uint32(len(data)))
	v = append(append(append(v, guid(t, securityDatabase)...), utf...), data...)
	copy(store[at:], v)
	return nil
}
