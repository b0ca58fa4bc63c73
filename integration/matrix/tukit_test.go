// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTukit runs the plugin of tukit with the arguments that its documentation names, on
// a snapshot that rpm changes in a chroot without /run, as transactional-update has it.
// It is not run under transactional-update.
func TestTukit(t *testing.T) {
	for _, r := range releases {
		if r.Root == "/" {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			z := newZypped(t, r)
			const plugin = "/usr/lib/tukit/plugins/digestd"
			z.OK(mk("-C", filepath.Join("..", "..", "hooks", "tukit"), "install", "DESTDIR="+z.Root.Dir, "tukitdir=/usr/lib/tukit/plugins"))
			z.Start()
			z.must("rpm", "-U", "/repository/tool-2-1.noarch.rpm")

			const snapshot = "/snapshot"
			z.OK(os.MkdirAll(z.Path(snapshot+"/tmp"), 0o755))
			z.must("rpm", "--root", snapshot, "--initdb")
			tool := func(version string) string { return "/repository/tool-" + version + "-1.noarch.rpm" }
			plain := []string{"rpm", "--root", snapshot, "--noplugins", "--noscripts", "-U", "--oldpackage"}
			z.must(append(plain, tool("1"), "/repository/other-1-1.noarch.rpm")...)

			for _, stage := range []string{
				"init-pre", "init-post " + snapshot + " 5", "resume-pre 5", "resume-post " + snapshot + " 5", "callExt-pre " + snapshot + " 5 zypper -R " + snapshot + " up",
				"execute-post " + snapshot + " 5 true", "keep-pre " + snapshot + " 5", "finalize-post 5 discarded", "abort-post 5", "reboot-pre",
			} {
				if said := z.must(append([]string{plugin}, strings.Fields(stage)...)...); said != "" {
					t.Errorf("%s: said %q", stage, said)
				}
			}
			said := z.must(plugin, "finalize-pre", snapshot, "5")
			for _, want := range []string{"digestd: tool-1-1.noarch is older than 2-1", "when snapshot 5 is booted"} {
				if strings.Count(said, want) != 1 {
					t.Errorf("said %q, want %q", said, want)
				}
			}
			z.has("tool-2-1")
			z.must(append(plain, tool("2"))...)
			if said := z.must(plugin, "finalize-pre", snapshot, "5"); said != "" {
				t.Errorf("of a snapshot that only has more packages: said %q", said)
			}
			z.Kill()
			if said := z.must(plugin, "finalize-pre", snapshot, "5"); said != "" {
				t.Errorf("without digestd: said %q", said)
			}
		})
	}
}
