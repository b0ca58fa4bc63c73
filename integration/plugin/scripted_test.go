// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// scripted are packages with scriptlets, each with a file /opt/NAME, as sections
// of a spec file that follow their %files. The
// scriptlets are Lua, which rpm runs itself: the roots that the tests install
// into hold no shell. rpmbuild makes them, as rpm 4.20 crashes on those of
// rpmpack.
var scripted = map[string]string{
	"scripts":      scriptlets("x=1", "pretrans", "pre", "post", "preun", "postun", "posttrans"),
	"trigger":      scriptlets("x=1", "transfiletriggerin", "transfiletriggerun"),
	"badpretrans":  scriptlets(luaFails, "pretrans"),
	"badpre":       scriptlets(luaFails, "pre"),
	"badpost":      scriptlets(luaFails, "post"),
	"badpreun":     scriptlets(luaFails, "preun"),
	"badposttrans": scriptlets(luaFails, "posttrans"),
	"linked":       "/opt/linked.too\n", // another name of /opt/linked
}

const luaFails = `error("as asked")`

// scriptlets are sections of a spec file; NAME stands for the package.
func scriptlets(body string, sections ...string) string {
	var spec strings.Builder
	for _, s := range sections {
		on := ""
		if strings.Contains(s, "trigger") {
			on = " -- /opt"
		}
		fmt.Fprintf(&spec, "%%%s -n NAME -p <lua>%s\n%s\n", s, on, body)
	}
	return spec.String()
}

// buildScripted builds each scripted package in the versions 1 and 2.
func buildScripted(dir string) error {
	for _, version := range []string{"1", "2"} {
		spec := "Name: scripted\nVersion: " + version + "\nRelease: 1\nSummary: test\nLicense: none\nBuildArch: noarch\n%description\n" +
			"%install\nmkdir -p %buildroot/opt\n"
		for name := range scripted {
			spec += "echo " + version + " > %buildroot/opt/" + name + "\n"
		}
		spec += "ln %buildroot/opt/linked %buildroot/opt/linked.too\n"
		for name, sections := range scripted {
			spec += strings.ReplaceAll("%package -n NAME\nSummary: test\n%description -n NAME\n%files -n NAME\n/opt/NAME\n"+sections, "NAME", name)
		}
		path := filepath.Join(dir, "scripted.spec")
		if err := os.WriteFile(path, []byte(spec), 0o600); err != nil {
			return err
		}
		build := exec.Command("rpmbuild", "-bb", "--quiet", "--define", "_topdir "+filepath.Join(dir, "build"),
			"--define", "_rpmdir "+dir, "--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
			"--define", "_binary_payload w9.gzdio", path)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", path, err, out)
		}
	}
	return nil
}
