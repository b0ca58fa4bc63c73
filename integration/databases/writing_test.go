// SPDX-License-Identifier: Apache-2.0

package databases_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestWhileRPMWrites: rpm has the database open and in its write-ahead log what
// it has committed; that is read, and rpm does not wait for it.
func TestWhileRPMWrites(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, format, 3)
			install, erase := []string{"-i"}, []string{"-e"}
			for i := range 60 {
				name := fmt.Sprintf("later%d", i)
				install, erase = append(install, p.build(t, name, 1000)), append(erase, name)
			}
			// On a busy machine rpm may have the processor for all of a transaction.
			const rounds = 20
			reads, between := 0, 0
			for round := 0; between == 0 && round < rounds; round++ {
				if round > 0 {
					p.rpm(t, erase...)
				}
				n, b := p.readDuring(t, install)
				reads, between = reads+n, between+b
				if names, _, err := contents(t, p.database()); err != nil || !slices.Equal(names, p.byRPM(t)) {
					t.Fatalf("at the end: %v, %v", names, err)
				}
			}
			if between == 0 {
				t.Errorf("none of %d reads in %d transactions saw one half done", reads, rounds)
			}
		})
	}
}

// readDuring reads the database all the time while rpm installs 60 packages to
// the 4 that are there, and counts the reads that saw some of them.
func (p *place) readDuring(t *testing.T, install []string) (reads, between int) {
	t.Helper()
	rpm := p.command(install...)
	var stderr strings.Builder
	rpm.Stderr = &stderr
	if err := rpm.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- rpm.Wait() }()
	for running := true; running; reads++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("rpm: %v\n%s", err, stderr.String())
			}
			running = false
		default:
		}
		names, _, err := contents(t, p.database())
		if err != nil {
			t.Fatalf("read %d: %v", reads, err)
		}
		if n := len(names); n > 4 && n < 64 {
			between++
		}
	}
	return reads, between
}
