// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// giveWayVariable is set in the process of this very program that gives way.
const giveWayVariable = "DIGESTD_TEST_GIVE_WAY"

func TestMain(m *testing.M) {
	if os.Getenv(giveWayVariable) != "" {
		GiveWay()
		threads, _ := filepath.Glob("/proc/self/task/*/stat")
		for _, name := range threads {
			if stat, err := os.ReadFile(name); err == nil {
				_, rest, _ := strings.Cut(string(stat), ") ")
				fields := strings.Fields(rest)
				fmt.Println(fields[16], fields[38]) // nice and policy (proc_pid_stat(5))
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Every thread of a process that gives way does.
func TestGiveWay(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), giveWayVariable+"=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range lines {
		if line != fmt.Sprintf("19 %d", schedIdle) {
			t.Errorf("a thread has %q, want nice 19 and policy %d", line, schedIdle)
		}
	}
}

func TestPressure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu")
	for text, want := range map[string]float64{
		"some avg10=42.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n": 42.5,
		"full avg10=99.00 avg60=0.00\n": 0, "": 0, "some avg10=nonsense avg60=0": 0,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := pressure(file); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if got := pressure(file + ".absent"); got != 0 {
		t.Errorf("a kernel that does not say: %v", got)
	}
}

// A caller goes on when the pause is over, or when its context ends.
func TestWait(t *testing.T) {
	var none *Pacer
	none.Wait(t.Context())
	started := time.Now()
	p := &Pacer{looked: started.Add(time.Hour), paused: started.Add(100 * time.Millisecond)}
	p.Wait(t.Context())
	if took := time.Since(started); took < 100*time.Millisecond {
		t.Errorf("it waited for %v", took)
	}
	p.paused = time.Now().Add(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	p.Wait(ctx)
	p.paused = time.Time{}
	p.Wait(t.Context())
}
