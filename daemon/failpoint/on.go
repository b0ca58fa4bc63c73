// SPDX-License-Identifier: Apache-2.0

//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	mu     sync.Mutex
	left   = -1
	passed = sync.OnceValue(func() *os.File {
		name := os.Getenv(LogVariable)
		if name == "" {
			return nil
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			panic(err)
		}
		return f
	})
)

// Hit kills the process, as SIGKILL would, if this is the instant that the
// environment names. It panics on an instant that is not in the table.
func Hit(event string, instant Instant) {
	if err := Check(event, instant); err != nil {
		panic(err)
	}
	name := Name(event, instant)
	if f := passed(); f != nil {
		if _, err := f.WriteString(name + "\n"); err != nil {
			panic(err)
		}
	}
	spec := os.Getenv(Variable)
	if file := os.Getenv(FileVariable); file != "" {
		data, _ := os.ReadFile(file) // not there yet: no instant
		spec = string(data)
	}
	want, count, counted := strings.Cut(spec, ":")
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

// Blacklisted returns these entries, one a line.
func Blacklisted() []string {
	data, err := os.ReadFile(os.Getenv(BlacklistVariable))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}

// Now is what the clock says that the environment sets.
func Now() time.Time { return time.Now().Add(ahead()) }

var ahead = sync.OnceValue(func() time.Duration {
	text := os.Getenv(AheadVariable)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
})
