// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/godbus/dbus/v5"
)

// whole is a backend that has something to say.
func whole() *stub {
	return &stub{
		status: api.Status{Version: "1.0", Mode: "enforce", Root: "/"},
		lists:  []api.List{{Name: "tlv-a", NEVRA: "a-0:1-1.noarch", State: api.StateActive}, {Name: "tlv-b"}},
	}
}

// TestBusctl does what an administrator does without digestctl.
func TestBusctl(t *testing.T) {
	_, private := serve(t, whole())
	busctl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("busctl", append([]string{"--address=" + private.Address}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("busctl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	manager := []string{api.BusName, api.Path, api.Interface}
	call := func(args ...string) string {
		t.Helper()
		return busctl(append(append([]string{"call"}, manager...), args...)...)
	}

	if out := call("Why", "s", "/usr/bin/true"); !strings.Contains(out, `"path" s "/usr/bin/true"`) {
		t.Errorf("Why: %s", out)
	}
	if out := call("Lists", "suu", "", "0", "1"); !strings.Contains(out, "tlv-a") || strings.Contains(out, "tlv-b") || !strings.HasSuffix(strings.TrimSpace(out), " 2") {
		t.Errorf("Lists: %s", out)
	}
	if out := call("FloorSet", "sss", "bash", "1-1", "why"); out != "" {
		t.Errorf("FloorSet: %s", out)
	}
	if out := busctl(append(append([]string{"get-property"}, manager...), "Mode", "ActiveLists")...); out != "s \"enforce\"\nt 0\n" {
		t.Errorf("properties: %s", out)
	}
	table := busctl("introspect", api.BusName, api.Path)
	for _, m := range (&Server{}).table().Methods {
		if !strings.Contains(table, "."+m.Name+" ") {
			t.Errorf("busctl introspect does not show %s:\n%s", m.Name, table)
		}
	}
	if out := busctl("tree", "--list", api.BusName); !strings.Contains(out, api.Path) {
		t.Errorf("tree: %s", out)
	}
}

// TestOtherLanguage calls and listens by bindings that are not ours.
func TestOtherLanguage(t *testing.T) {
	s, private := serve(t, whole())
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/client.py", private.Address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	lines := bufio.NewScanner(out)
	next := func(v any) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the client ended: %v", lines.Err())
		}
		if text, ok := v.(*string); ok {
			*text = lines.Text()
		} else if err := json.Unmarshal(lines.Bytes(), v); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
	}
	var answers struct {
		Status, Why   map[string]any
		Lists         [2]any
		Mode, Refused string
	}
	next(&answers)
	lists, _ := answers.Lists[0].([]any)
	if answers.Status["mode"] != "enforce" || answers.Why["path"] != "/usr/bin/true" || len(lists) != 1 || answers.Lists[1] != 2.0 ||
		answers.Mode != "enforce" || answers.Refused != errorPrefix+"InvalidArgument" {
		t.Errorf("got %+v", answers)
	}
	var listening string
	next(&listening)
	if listening != "listening" {
		t.Fatalf("got %q", listening)
	}
	s.ListPublished("tlv-c", "c-0:1-1.noarch")
	var signal [2]any
	next(&signal)
	if args, _ := signal[1].([]any); signal[0] != "ListPublished" || len(args) != 2 || args[0] != "tlv-c" {
		t.Errorf("heard %v", signal)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// starterAddress is set by a bus in a process that it starts for a name.
const starterAddress = "DBUS_STARTER_ADDRESS"

// serveStarted is that process: it serves until the bus is gone.
func serveStarted(address string) {
	fail := func(err error) {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	watch, err := dbus.Connect(address)
	if err != nil {
		fail(err)
	}
	b := whole()
	if _, err := Serve(context.Background(), address, b, quiet); err != nil {
		fail(err)
	}
	<-watch.Context().Done()
}

// The files that we ship, on a bus as strict as a system's: a call starts
// digestd, everybody may call it, and only root may own its name.
func TestShippedBusFiles(t *testing.T) {
	needs.Root(t)
	const shipped = "../../systemd/"
	text, err := os.ReadFile(shipped + "org.digestd1.service")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// There is no systemd to start the unit; this very program stands for it.
	if !strings.Contains(string(text), "\nSystemdService=digestd.service\n") {
		t.Error("the service is not started by systemd")
	}
	services := t.TempDir()
	text = []byte(strings.Replace(string(text), "\nExec=/bin/false\n", "\nExec="+program+"\n", 1))
	if err := os.WriteFile(filepath.Join(services, "org.digestd1.service"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	private := bustest.StartStrict(t, shipped+"org.digestd1.conf", services)

	p := connectAs(t, private, nobody)
	if got := p.must("Why", "/a"); len(got) != 1 {
		t.Errorf("Why: %v", got)
	}
	introspectAt(t, p, api.Path)
	if err := p.conn.Object(api.BusName, api.Path).Call(propertiesName+".GetAll", 0, api.Interface).Err; err != nil {
		t.Error(err)
	}
	if err := p.conn.Object(api.BusName, api.Path).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Error(err)
	}
	p.refused("AccessDenied", "Sync")
	if reply, err := p.conn.RequestName(api.BusName, 0); err == nil {
		t.Errorf("an ordinary user asked for the name and got %v", reply)
	}
	// Calls to interfaces of others do not reach the backend.
	if err := p.conn.Object(api.BusName, api.Path).Call("com.example.Other.Method", 0).Err; err == nil || !strings.Contains(err.Error(), "Rejected send message") {
		t.Errorf("another interface: %v", err)
	}
}

// A filter with something in it that is not known would select what was not
// asked for.
func TestLogFilter(t *testing.T) {
	_, private := serve(t, &stub{})
	p := connect(t, private)
	page := p.must("Log", api.LogFilter{Kind: "published", After: 6}.Dict(), uint32(0), uint32(10))[0].([]api.Dict)
	if len(page) != 1 || page[0]["kind"].Value() != "published" || page[0]["seq"].Value() != uint64(7) {
		t.Errorf("got %v", page)
	}
	for _, d := range []api.Dict{
		{"kinds": dbus.MakeVariant("published")},
		{"kind": dbus.MakeVariant(uint32(1))},
		{"uid": dbus.MakeVariant("root")},
		{"package": dbus.MakeVariant("a\nb")},
		{"package": dbus.MakeVariant(strings.Repeat("a", 1025))},
	} {
		p.refused("InvalidArgument", "Log", d, uint32(0), uint32(0))
	}
	p.refused("InvalidArgument", "Log", api.Dict{}, uint32(0), uint32(api.MaxPage+1))
}
