// SPDX-License-Identifier: Apache-2.0

package manual

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func example() *Page {
	p := &Page{Name: "example", Number: 5, About: "what `it-self` is"}
	p.Section("Shape")
	p.Text("One paragraph\nover lines.\n\n.so /etc/passwd is no request; `a{sv}` and *stars* and it's \\fB.")
	p.Subsection(`Say "it"`)
	p.Literal(".TH evil\nindented\n  twice -v")
	p.Item("--flag <N>", "What it does to `N`.")
	p.Item("bare → 𝄞", "")
	return p
}

func TestRoff(t *testing.T) {
	const want = `.\" SPDX-License-Identifier: Apache-2.0
.TH EXAMPLE 5 "" digestd "digestd manual"
.SH NAME
example \- what \fBit\-self\fR is
.SH "SHAPE"
.PP
One paragraph over lines.
.PP
\&.so /etc/passwd is no request; \fBa{sv}\fR and *stars* and it\(aqs \efB.
.SS "Say \(dqit\(dq"
.PP
.RS 4
.nf
\&.TH evil
indented
  twice \-v
.fi
.RE
.TP
\fB\-\-flag <N>\fR
What it does to \fBN\fR.
.TP
\fBbare \[u2192] \[u1D11E]\fR
`
	if diff := cmp.Diff(want, string(example().Roff())); diff != "" {
		t.Error(diff)
	}
}

func TestMarkdown(t *testing.T) {
	const want = `# example

what ~it-self~ is

## Shape

One paragraph over lines.

.so /etc/passwd is no request; ~a{sv}~ and \*stars\* and it's \\fB.

### Say "it"

~~~
.TH evil
indented
  twice -v
~~~

- ~--flag <N>~: What it does to ~N~.
- ~bare → 𝄞~
`
	if diff := cmp.Diff(strings.ReplaceAll(want, "~", "`"), string(example().Markdown())); diff != "" {
		t.Error(diff)
	}
}

func TestFill(t *testing.T) {
	long := strings.Repeat("word ", 15) + "words - and more"
	if diff := cmp.Diff("  "+strings.Repeat("word ", 15)+"words -\n  and more\n", "  "+fill(long, "  ")); diff != "" {
		t.Error(diff)
	}
}
