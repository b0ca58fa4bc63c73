// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/repo/updateinfo"
	"github.com/google/go-cmp/cmp"
)

// replies returns the lines that the process would say, without a process.
func replies(t *testing.T, ask request, files ...File) []answer {
	t.Helper()
	for _, f := range files {
		ask.Files = append(ask.Files, opened{f.Kind, f.File})
	}
	data, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := reply(bytes.NewReader(data), &out, func(i int) io.Reader { return files[i].Open }); err != nil {
		t.Fatal(err)
	}
	var lines []answer
	if _, err := listen(&out, func(a answer) error { lines = append(lines, a); return nil }); err != nil {
		t.Fatal(err)
	}
	return lines
}

// What the repository offers counts, in whichever order its files come.
func TestReply(t *testing.T) {
	floor := func(name, arch, stream, evr, advisory string) answer {
		return answer{Floor: &Floor{Name: name, Arch: arch, Stream: stream, EVR: evr, Advisory: advisory, Severity: "Important", CVEs: []string{"CVE-2026-1000" + advisory[len(advisory)-1:]}}}
	}
	info := "<updates>" +
		mends("security", "VSA-1", "", "zsh noarch 0 9 1", "bash x86_64 0 5 2", "bash aarch64 0 5 1") +
		mends("security", "VSA-2", "", "bash x86_64 0 5 1", "bash x86_64 0 5 3") + // lower, and not offered
		mends("security", "VSA-3", "", "zsh noarch 0 9 1") + // of the same version
		mends("security", "VSA-4", "nodejs:18", "nodejs x86_64 1 18.2 1.module") +
		mends("enhancement", "VEA-5", "", "zsh noarch 0 9 2") + "</updates>"
	want := []answer{
		floor("bash", "aarch64", "", "0:5-1", "VSA-1"), floor("bash", "x86_64", "", "0:5-2", "VSA-1"),
		floor("nodejs", "x86_64", "nodejs:18", "1:18.2-1.module", "VSA-4"), floor("zsh", "noarch", "", "0:9-1", "VSA-1"),
	}
	kinds := []string{Primary, Modules, Updateinfo}
	texts := map[string]string{Updateinfo: info, Modules: modules, Primary: offers("bash x86_64 0 5 2", "bash aarch64 0 5 9", "zsh noarch 0 9 2")}
	for range 2 {
		slices.Reverse(kinds)
		var files []File
		for _, kind := range kinds {
			files = append(files, file(t, kind, texts[kind]))
		}
		got := replies(t, request{}, files...)
		if len(got) != len(want)+1 {
			t.Fatalf("%v: %d lines: %+v", kinds, len(got), got)
		}
		if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
			t.Errorf("%v: %s", kinds, diff)
		}
		if s := got[len(want)].Summary; s == nil || s.Advisories != 5 || s.Security != 4 || s.Packages != 3 || s.Beyond != 1 || s.Newest.Format("2006-01-02") != "2026-02-04" {
			t.Errorf("%v: %+v", kinds, s)
		}
	}
}

// A file that is bad leads to one line, which says why, and to no floor.
func TestReplyFails(t *testing.T) {
	good := func() File { return file(t, Primary, offers("bash x86_64 0 5 2")) }
	other := file(t, Updateinfo, "<updates>"+mends("security", "VSA-1", "", "bash x86_64 0 5 2")+"</updates>")
	other.Sum = strings.Repeat("0", len(other.Sum))
	longer := file(t, Updateinfo, "<updates>no XML")
	longer.Size--
	for name, tc := range map[string]struct {
		ask   request
		files []File
		want  string
	}{
		"another digest":         {request{}, []File{good(), other}, "another digest"},
		"another size":           {request{}, []File{good(), longer}, "bytes"},
		"cut short":              {request{}, []File{good(), file(t, Updateinfo, "<updates>")}, "ends inside"},
		"bad packages":           {request{}, []File{file(t, Primary, "<metadata>"), file(t, Updateinfo, "<updates/>")}, "ends inside"},
		"a bad file in a look":   {request{Find: "VSA-1"}, []File{file(t, Updateinfo, "<updates>")}, "ends inside"},
		"a bad list of files":    {request{Repomd: []byte("<repomd>")}, nil, "ends inside"},
		"an empty list of files": {request{Repomd: []byte(" ")}, nil, "no element"},
	} {
		got := replies(t, tc.ask, tc.files...)
		if len(got) != 1 || got[0].Error == "" || !strings.Contains(got[0].Error, tc.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	var out bytes.Buffer
	if err := reply(strings.NewReader("{"), &out, nil); err == nil || !strings.Contains(err.Error(), "cannot read what is asked") || out.Len() != 0 {
		t.Errorf("half a request: %v, %s", err, &out)
	}
}

func TestReplyRepomd(t *testing.T) {
	got := replies(t, request{Repomd: []byte(`<repomd><data type="primary"><checksum type="sha256">ab</checksum><location href="repodata/p.xml"/></data></repomd>`)})
	if len(got) != 1 || got[0].Repomd == nil || got[0].Repomd.Files[Primary].Name != "p.xml" {
		t.Errorf("%+v", got)
	}
}

// What is told of one advisory is bounded. A look reads advisories alone.
func TestReplyFind(t *testing.T) {
	var info strings.Builder
	info.WriteString(`<updates><update type="security"><id>VSA-7</id><severity>Low</severity><issued date="2026-02-01"/><references>`)
	for i := range 120 {
		fmt.Fprintf(&info, `<reference id="CVE-2026-%d"/>`, 1000+i)
	}
	info.WriteString("</references><pkglist><collection>")
	for i := range 520 {
		fmt.Fprintf(&info, `<package name="p%d" arch="noarch" epoch="0" version="1" release="1"/>`, i)
	}
	info.WriteString("</collection></pkglist></update>" + mends("bugfix", "VBA-8", "", "bash x86_64 0 5 2") + "</updates>")
	for id, want := range map[string]string{"VSA-7": "VSA-7", "CVE-2026-1119": "VSA-7", "CVE-2026-10008": "VBA-8", "CVE-2026-1": "", "VSA-": ""} {
		var told []string
		got := replies(t, request{Find: id}, file(t, Primary, "this is not read"), file(t, Updateinfo, info.String()))
		for _, a := range got[:len(got)-1] {
			told = append(told, a.Said.ID)
			if s := a.Said; s.ID == "VSA-7" && (len(s.CVEs) != 100 || len(s.Packages) != 500 || s.More != 20 || s.Packages[499] != "p499-0:1-1.noarch" || s.Type != "security" || s.Severity != "Low" || s.Issued != "2026-02-01") {
				t.Errorf("%s: %d CVEs, %d packages, %+v", id, len(s.CVEs), len(s.Packages), s)
			}
		}
		if got := got[len(got)-1]; strings.Join(told, " ") != want || got.Summary == nil {
			t.Errorf("%s: %q, %+v, want %q", id, told, got, want)
		}
	}
}

// The process keeps no more floors, and no more CVEs of each, than digestd takes.
func TestTakeBounds(t *testing.T) {
	s := &server{offered: map[string]*version{}, best: map[key]*found{}}
	build := func(name string) nevra.NEVRA {
		t.Helper()
		n, err := nevra.Parse(name + "-0:1-1.noarch")
		if err != nil {
			t.Fatal(err)
		}
		s.offer("", n)
		return n
	}
	first, next := build("first"), build("next")
	advisory := func(n nevra.NEVRA, cves int) *updateinfo.Advisory {
		return &updateinfo.Advisory{ID: "VSA-1", Type: "security", CVEs: slices.Repeat([]string{"CVE-2026-1000"}, cves), Packages: []updateinfo.Package{{NEVRA: n}}}
	}
	if err := s.take(advisory(first, keptCVEs+4)); err != nil {
		t.Fatal(err)
	}
	if f := s.best[key{"first", "noarch", ""}]; f == nil || len(f.by.cves) != keptCVEs {
		t.Fatalf("%+v", f)
	}
	for i := 1; i < MaxFloors; i++ {
		s.best[key{name: fmt.Sprint(i)}] = nil
	}
	if err := s.take(advisory(first, 1)); err != nil {
		t.Errorf("a package that has a floor: %v", err)
	}
	if err := s.take(advisory(next, 1)); err == nil || !strings.Contains(err.Error(), "more than 200000 packages") || len(s.best) != MaxFloors {
		t.Errorf("one package too many: %v, %d floors", err, len(s.best))
	}
}
