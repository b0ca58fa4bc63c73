// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"fmt"
	"os"
	"testing"
)

// Setup is what the tests of a package share, made before the first one runs.
type Setup struct {
	Dir  string // a directory that is gone after the last test
	ends []func()
}

// Cleanup has a function called after the last test, the latest first.
func (s *Setup) Cleanup(end func()) { s.ends = append(s.ends, end) }

// Main is the whole of a TestMain: it prepares, runs the tests and exits. If prepare fails, no
// test runs.
func Main(m *testing.M, prepare func(*Setup) error) {
	code, err := run(m, prepare)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set the tests up:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M, prepare func(*Setup) error) (code int, err error) {
	dir, err := os.MkdirTemp("", "digestd-test-")
	if err != nil {
		return 1, err
	}
	s := &Setup{Dir: dir}
	s.Cleanup(func() { os.RemoveAll(dir) })
	defer func() {
		for i := len(s.ends) - 1; i >= 0; i-- {
			s.ends[i]()
		}
	}()
	if err := prepare(s); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
