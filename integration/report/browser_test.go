// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sight is what a browser makes of a page in a window of some width.
type sight struct {
	Width    int      `json:"width"`    // of the window
	Needed   int      `json:"needed"`   // by the page
	Height   int      `json:"height"`   // of the whole page
	Elements []string `json:"elements"` // that it has, each once, sorted
	Scripted int      `json:"scripted"` // attributes that would run something
	Styled   string   `json:"styled"`   // how wide main may be, "none" without the style
	Text     string   `json:"text"`
	Open     int      `json:"open"` // details that are open
}

// measure shows a page in frames of these widths, as it is and with everything
// unfolded, and returns what a script beside it sees. The page itself is under
// its own policy in them, and the script is not of it.
func measure(t *testing.T, page string, widths ...int) []sight {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><meta charset=utf-8><body>")
	for _, w := range widths {
		fmt.Fprintf(&b, "<iframe width=%d height=900 style='border:0' srcdoc=\"%s\"></iframe>", w, html.EscapeString(page))
	}
	b.WriteString(`<pre id=seen></pre><script>
addEventListener('load', () => {
	const look = (frame) => {
		const d = frame.contentDocument, all = [...d.querySelectorAll('*')];
		return {
			width: frame.clientWidth, needed: d.documentElement.scrollWidth, height: d.documentElement.scrollHeight,
			elements: [...new Set(all.map(e => e.localName))].sort(),
			scripted: all.flatMap(e => [...e.attributes]).filter(a => /^on|^(src|srcset|href|style)$/i.test(a.name)).length,
			styled: getComputedStyle(d.querySelector('main')).maxWidth,
			text: d.body.innerText, open: d.querySelectorAll('details[open]').length,
		};
	};
	const frames = [...document.querySelectorAll('iframe')], seen = frames.map(look);
	for (const f of frames) for (const d of f.contentDocument.querySelectorAll('details')) d.open = true;
	seen.push(...frames.map(look));
	document.getElementById('seen').textContent = JSON.stringify(seen);
});
</script>`)
	file := filepath.Join(dir, "frames.html")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	dom := browse(t, dir, "--dump-dom", "file://"+file)
	_, after, found := strings.Cut(dom, `<pre id="seen">`)
	text, _, ended := strings.Cut(after, "</pre>")
	var seen []sight
	if err := json.Unmarshal([]byte(html.UnescapeString(text)), &seen); err != nil || !found || !ended || len(seen) != 2*len(widths) {
		t.Fatalf("the browser did not say what it sees: %v\n%.2000s", err, dom)
	}
	return seen
}

// browse runs Chromium without a window and returns what it prints.
func browse(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "chromium", append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir=" + filepath.Join(dir, "profile"),
	}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.WaitDelay = 10 * time.Second
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the browser failed: %v\n%s", err, said.String())
	}
	return string(out)
}
