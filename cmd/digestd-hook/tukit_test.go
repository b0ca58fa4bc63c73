// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/hooks/wire"
)

// rpmSays has a program stand for rpm, for a root that is named after what it prints.
func rpmSays(t *testing.T, script string) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rpm"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestTukit(t *testing.T) {
	line := func(name, version string) string {
		return `printf '` + name + `\t0\t` + version + `\t1\tnoarch\n'`
	}
	rpmSays(t, `case $2 in
/) `+line("same", "1")+`;`+line("tool", "2")+`; printf 'gpg-pubkey\t0\t1\t1\t(none)\n';;
/snapshot) `+line("same", "1")+`;`+line("tool", "1")+`;;
/huge) cat /dev/zero;;
/odd) echo nonsense;;
*) exit 1;;
esac`)
	refused := func(c net.Conn, b *wire.Begin) {
		if len(b.Elements) != 2 || b.Elements[0].NEVRA.String() != "tool-1-1.noarch" || b.Elements[0].Type != wire.Added || b.Elements[1].Type != wire.RemovedElement {
			t.Errorf("asked %+v", b)
		}
		wire.NewConn(c).Write(&wire.Verdict{Decision: wire.Refuse, Notes: []wire.Note{{Level: wire.LevelError, Text: "no"}}}, time.Minute)
	}
	for _, tc := range []struct {
		args string
		want string
		err  string
	}{
		{"finalize-pre /snapshot 5", "no\ndigestd: when snapshot 5 is booted, packages that are refused here get no digest lists.\n", ""},
		{"finalize-pre / 5", "", ""}, {"init-pre", "", ""}, {"finalize-pre", "", ""}, {"finalize-post 5 discarded", "", ""},
		{"callExt-pre /snapshot 5 zypper -R /snapshot up", "", ""}, {"reboot-pre", "", ""},
		{"finalize-pre /none 5", "", "exit status 1"}, {"finalize-pre /odd 5", "", "nonsense"}, {"finalize-pre /huge 5", "", "cannot read the packages of /huge"},
	} {
		o := options{socket: "/nonexistent/sock", budget: time.Second, refuse: true}
		if tc.want != "" {
			o = serve(t, refused)
		}
		var out bytes.Buffer
		err := o.tukit(context.Background(), root{path: "/"}, strings.Fields(tc.args), &out)
		if out.String() != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %v, says %q", tc.args, err, out.String())
		}
	}
}
