// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// killHelpers kills every digestd-pkcs11 that this process started and returns
// how many there were.
func killHelpers(t *testing.T) (n int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		text := string(data)
		// pid (comm) state ppid …
		end := strings.LastIndexByte(text, ')')
		fields := strings.Fields(text[end+1:])
		if !strings.Contains(text[:end], "(digestd-pkcs11") || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		pid, err := strconv.Atoi(strings.Fields(text)[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// mapping returns the processes that have a file mapped.
func mapping(t *testing.T, file string) (users []string) {
	t.Helper()
	maps, err := filepath.Glob("/proc/[0-9]*/maps")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range maps {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), file) {
			users = append(users, path)
		}
	}
	return users
}
