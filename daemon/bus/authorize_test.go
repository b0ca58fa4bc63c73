// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/digestd/digestd/integration/needs"
	"github.com/godbus/dbus/v5"
)

const nobody = 65534

// callerAddress is set in the process that TestOrdinaryUser starts of this very
// program, as another user.
const callerAddress = "DIGESTD_TEST_CALLER"

func TestMain(m *testing.M) {
	if address := os.Getenv(callerAddress); address != "" {
		callAll(address)
		return
	}
	if address := os.Getenv(starterAddress); address != "" {
		serveStarted(address)
		return
	}
	if address := os.Getenv(announcerAddress); address != "" {
		announceAs(address)
		return
	}
	os.Exit(m.Run())
}

// callAll calls every method there is and prints the names of the errors.
func callAll(address string) {
	conn, err := dbus.Connect(address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	errors := map[string]string{}
	for _, m := range (&Server{}).table().Methods {
		err := conn.Object(api.BusName, api.Path).Call(api.Interface+"."+m.Name, 0, plausible(m)...).Err
		errors[m.Name] = ""
		if e, ok := api.FromDBus(err).(*api.Error); ok {
			errors[m.Name] = string(e.Code)
		} else if err != nil {
			errors[m.Name] = err.Error()
		}
	}
	json.NewEncoder(os.Stdout).Encode(errors)
}

// plausible returns arguments that a method accepts.
func plausible(m object.Method) []any {
	var args []any
	for _, a := range m.In {
		switch a.Sig {
		case "s":
			text := "/text"
			if a.Name == "data" {
				text = "AAAA" // base64
			}
			args = append(args, text)
		case "ay":
			args = append(args, []byte("/text"))
		case "as":
			list := []string{}
			if a.Name == "digests" {
				list = append(list, strings.Repeat("ab", 32))
			}
			args = append(args, list)
		case "aay":
			args = append(args, [][]byte{[]byte("/text")})
		case "u":
			args = append(args, uint32(0))
		case "t":
			args = append(args, uint64(0))
		case "a{sv}":
			args = append(args, api.Dict{})
		case "b":
			args = append(args, false)
		}
	}
	return args
}

func TestOrdinaryUser(t *testing.T) {
	needs.Root(t)
	var mu sync.Mutex
	var asked []uint32
	b := &stub{why: func(_ context.Context, by api.Actor, path string) (api.Why, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, by.UID)
		return api.Why{Path: path}, nil
	}}
	_, private := serve(t, b)
	// Opened before, for that user cannot reach where the program lies.
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/fd/3", Args: []string{"caller"}, Dir: "/", Env: []string{callerAddress + "=" + private.Address},
		Stderr: os.Stderr, ExtraFiles: []*os.File{program},
		SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}},
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	errors := map[string]string{}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&errors); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}

	changing := map[string]bool{
		"Sync": true, "Cancel": true, "RollbackGrant": true, "RollbackRevoke": true, "FloorSet": true, "FloorClear": true,
		"KeyRevoke": true, "KeyRestore": true, "SignerRotate": true, "SignerEnrol": true,
		"Verify": true, "Fix": true, "Findings": true,
		"AdvisoriesForget": true,
		"Deny":             true, "DenialLift": true, "DenialsImport": true, "PolicyForget": true,
		"OwnAppend": true, "OwnPublish": true, "OwnRemove": true, "OrderSet": true, "OrderClear": true, "OrderPrefetch": true,
		"AnchorEnable": true, "AnchorAccept": true, "AnchorRebind": true, "AnchorDisable": true, "AnchorQuote": true, "AnchorIdentity": true, "AnchorProve": true,
		"GuardSwitch": true, "GuardExempt": true, "GuardLearn": true, "GuardDenials": true, "GuardCandidates": true,
	}
	for name, err := range errors {
		want := ""
		if changing[name] {
			want = string(api.AccessDenied)
			delete(changing, name)
		}
		if err != want {
			t.Errorf("%s: got error %q, want %q", name, err, want)
		}
	}
	if len(changing) > 0 {
		t.Errorf("not in the table: %v", changing)
	}
	if len(b.changes) > 0 {
		t.Errorf("an ordinary user's calls reached the backend: %v", b.changes)
	}
	if len(asked) != 2 || asked[0] != nobody || asked[1] != nobody {
		t.Errorf("Why and WhyBytes were asked by %v", asked)
	}
}
