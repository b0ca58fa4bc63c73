// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

func digestdOn(conn *dbus.Conn) dbus.BusObject { return conn.Object(api.BusName, api.Path) }

// whyAs asks as a user what one may ask of a path.
func whyAs(t *testing.T, conn *dbus.Conn, path string) (w api.Why) {
	t.Helper()
	var d api.Dict
	if err := digestdOn(conn).Call(api.Interface+".Why", 0, path).Store(&d); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if err := api.Decode(d, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWhyTellsUsersNothingOfFiles: whatever there is at a path, and whether the
// caller could find out, an ordinary user's answer is the same.
func TestWhyTellsUsersNothingOfFiles(t *testing.T) {
	m := start(t)
	for _, sub := range []string{"root/priv", "root/open"} {
		if err := os.MkdirAll(m.In(sub, "dir"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.In(sub, "file"), []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
		for name, to := range map[string]string{"link": "/open/file", "deep": "/priv/file", "loop": "loop"} {
			if err := os.Symlink(to, m.In(sub, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.OK(os.Chmod(m.In("root/priv"), 0o700))
	user := m.Bus.ConnectAs(65534)
	for _, sub := range []string{"priv", "open"} {
		want := whyAs(t, user, "/"+sub+"/absent")
		if want.Verdict != api.VerdictUnread || want.Digest != "" {
			t.Errorf("%s/absent: %+v", sub, want)
		}
		for _, name := range []string{"file", "dir", "link", "deep", "loop", "file/below"} {
			got := whyAs(t, user, "/"+sub+"/"+name)
			if got.RealPath != "/"+sub+"/"+name {
				t.Errorf("%s/%s: it is told to be %s", sub, name, got.RealPath)
			}
			got.Path, got.RealPath = want.Path, want.RealPath
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s/%s: %+v, but %+v of what is not there", sub, name, got, want)
			}
		}
	}
	root, err := dbus.Connect(m.Bus.Address)
	m.OK(err)
	defer root.Close()
	if got := whyAs(t, root, "/open/deep"); got.RealPath != "/priv/file" || got.Digest != fmt.Sprintf("%x", sha256.Sum256([]byte("content"))) {
		t.Errorf("root is told %+v", got)
	}
}

// TestManyQuestions lets 200 programs of many users ask ten questions at a time:
// none waits long, and digestd needs little memory for them.
func TestManyQuestions(t *testing.T) {
	m := start(t)
	users := systemUsers(t, 20)
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	var conns []*dbus.Conn
	const programs, questions = 200, 10
	for i := range programs {
		conns = append(conns, m.Bus.ConnectAs(users[i%len(users)]))
	}
	sum := sha256.Sum256([]byte("content"))
	for _, conn := range conns {
		for i := range questions {
			group.Go(func() {
				started := time.Now()
				var call *dbus.Call
				if i%2 == 0 {
					call = digestdOn(conn).Call(api.Interface+".Why", 0, "/usr/bin/true")
				} else {
					call = digestdOn(conn).Call(api.Interface+".WhyContent", 0, []byte("/usr/bin/true"), []byte{}, true, "", sum[:], []byte{}, []byte{})
				}
				if call.Err != nil {
					t.Error(call.Err)
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(started))
			})
		}
	}
	group.Wait()
	slices.Sort(took)
	if median := took[len(took)/2]; median > time.Second {
		t.Errorf("the median of %d questions took %v", len(took), median)
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.PID()), "status"))
	m.OK(err)
	most, _ := strconv.Atoi(regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindStringSubmatch(string(status))[1])
	if most > 96<<10 {
		t.Errorf("digestd needed %d kB", most)
	}
	t.Logf("median %v, longest %v, %d kB", took[len(took)/2], took[len(took)-1], most)
}

// TestVetoUnderQuestions lets users ask as much as they can, also about a file whose
// reading takes long, while rpm installs an older version: it is refused in time,
// and root's questions are answered.
func TestVetoUnderQuestions(t *testing.T) {
	m := start(t)
	old, newer := m.build("hello-1-1.noarch", "/usr/share/hello=one"), m.build("hello-2-1.noarch", "/usr/share/hello=two")
	m.RPM("-U", newer)
	large := m.In("root", "large")
	m.OK(os.WriteFile(large, nil, 0o644))
	m.OK(os.Truncate(large, 4<<30))
	stop := make(chan struct{})
	var group sync.WaitGroup
	defer group.Wait()
	defer close(stop)
	for _, uid := range systemUsers(t, 10) {
		for range 4 {
			conn := m.Bus.ConnectAs(uid)
			for range 8 {
				group.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						digestdOn(conn).Call(api.Interface+".Why", 0, large)
						digestdOn(conn).Call(api.Interface+".Lists", 0, "", uint32(0), uint32(0))
						digestdOn(conn).Call(api.Interface+".Sync", 0)
					}
				})
			}
		}
	}
	time.Sleep(time.Second)
	for range 2 {
		if out, err := m.RPMCommand("-U", "--oldpackage", old).CombinedOutput(); err == nil || !strings.Contains(string(out), "older") {
			t.Fatalf("the older version was not refused: %v\n%s", err, out)
		}
	}
	started := time.Now()
	if out := m.Must("why", m.In("root/usr/share/hello")); !strings.Contains(out, "vouched for by hello-2-1.noarch") {
		t.Errorf("root is told %s", out)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("root waited %v", took)
	}
	if n := strings.Count(m.Log(), "call refused"); n > 60 {
		t.Errorf("%d refusals are in the log", n)
	}
}

// systemUsers returns ordinary users that the machine has: a bus lets no others in.
func systemUsers(t *testing.T, most int) (uids []int) {
	t.Helper()
	data, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(line, ":"); len(f) > 2 && len(uids) < most {
			if uid, err := strconv.Atoi(f[2]); err == nil && uid > 0 {
				uids = append(uids, uid)
			}
		}
	}
	if len(uids) < 10 {
		t.Fatalf("only %d users", len(uids))
	}
	return uids
}
