// SPDX-License-Identifier: Apache-2.0

//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Variable names the instant and how often it must be passed before it kills:
// "name" or "name:n".
const Variable = "DIGESTD_FAILPOINT"

var (
	mu   sync.Mutex
	left = -1
)

// Hit kills the process, as SIGKILL would, if this is the instant that the
// environment names.
func Hit(name string) {
	want, count, counted := strings.Cut(os.Getenv(Variable), ":")
	if want != name {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	if left < 0 {
		left = 1
		if n, err := strconv.Atoi(count); counted && err == nil {
			left = n
		}
	}
	if left--; left == 0 {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// BlacklistVariable names a file with entries that the kernel's .blacklist has
// besides: no kernel takes any that nobody signed.
const BlacklistVariable = "DIGESTD_BLACKLIST"

// Blacklisted returns these entries, one a line.
func Blacklisted() []string {
	data, err := os.ReadFile(os.Getenv(BlacklistVariable))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}
