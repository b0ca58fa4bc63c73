// SPDX-License-Identifier: Apache-2.0

package man_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/man"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// sample is a command with everything that a manual has to show.
func sample(a *cli.App) *cobra.Command {
	run := func(*cobra.Command, []string) error { return nil }
	show := &cobra.Command{Use: "show NAME", Short: "Show a book", RunE: run, Annotations: a.Prints(struct {
		Title string     `json:"title"`
		Cover []byte     `json:"cover"`
		Lent  *time.Time `json:"lent,omitempty"`
		Shelf int        `json:"-"`
	}{}), Long: "Show prints what is on the cover.\n\n  one line\n  another\n\nIt reads nothing.", Example: "  digestctl book show emma\n  digestctl book show --pages 7 emma"}
	show.Flags().IntP("pages", "p", 3, "print `N` pages")
	show.Flags().Bool("loud", false, "read it out")
	show.Flags().StringSlice("by", nil, "only books by `AUTHOR`")
	show.Flags().StringSlice("in", []string{"english", "french"}, "only books in these `LANGUAGES`")
	show.Flags().Duration("for", 0, "lend it for `TIME`")
	secret := &cobra.Command{Use: "burn", Hidden: true, RunE: run}
	return cli.Root(a, cli.Group("book", "Do things with books", "Books have covers.", show, secret))
}

const page = `.SH NAME
digestctl\-book \- do things with books
.SH "SYNOPSIS"
.PP
.RS 4
.nf
digestctl book show NAME [\-\-by AUTHOR] [\-\-for TIME] [\-\-in LANGUAGES] [\-\-loud] [\-\-pages N]
.fi
.RE
.SH "DESCRIPTION"
.PP
Books have covers.
.SH "COMMANDS"
.SS "book show NAME"
.PP
Show prints what is on the cover.
.PP
.RS 4
.nf
one line
another
.fi
.RE
.PP
It reads nothing.
.TP
\fB\-\-by AUTHOR\fR
Only books by AUTHOR.
.TP
\fB\-\-for TIME\fR
Lend it for TIME.
.TP
\fB\-\-in LANGUAGES\fR
Only books in these LANGUAGES; default: english,french.
.TP
\fB\-\-loud\fR
Read it out.
.TP
\fB\-p, \-\-pages N\fR
Print N pages; default: 3.
.PP
.RS 4
.nf
digestctl book show emma
digestctl book show \-\-pages 7 emma
.fi
.RE
.SH "OUTPUT FOR PROGRAMS"
`

func TestVerbPage(t *testing.T) {
	a := &cli.App{UI: terminal.New(nil, nil)}
	pages := man.Pages(a, sample(a))
	if len(pages) != 1 || pages[0].Name != "digestctl-book" {
		t.Fatalf("pages are %+v", pages)
	}
	_, text, _ := strings.Cut(string(pages[0].Roff()), "\n.SH NAME\n")
	text, rest, _ := strings.Cut(".SH NAME\n"+text, ".SH \"OUTPUT FOR PROGRAMS\"\n")
	if diff := cmp.Diff(page, text+".SH \"OUTPUT FOR PROGRAMS\"\n"); diff != "" {
		t.Error(diff)
	}
	if want := `{"title": text, "cover": bytes, "lent": time}`; !strings.Contains(rest, want) {
		t.Errorf("for programs it does not print %s:\n%s", want, rest)
	}
	if strings.Contains(string(pages[0].Roff()), "burn") {
		t.Error("a hidden verb has a place in the manual")
	}
}

func TestMainPage(t *testing.T) {
	// Lines are broken where they are long.
	a := &cli.App{UI: terminal.New(nil, nil)}
	text := strings.Join(strings.Fields(string(man.Page(a, sample(a)).Markdown())), " ")
	for _, want := range []string{"book show NAME", "--json", "`why` exits with 3", "NO_COLOR", "digestctl-book(1)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q:\n%s", want, text)
		}
	}
	for _, code := range cli.ExitCodes {
		if !strings.Contains(text, code.Meaning) {
			t.Errorf("the page does not say what exit code %d means", code.Code)
		}
	}
}

// The hidden verb that the Makefile runs writes all pages, and follows no link.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	if out, errOut, code := ctltest.Run(t, man.Command, "man", dir); code != 0 || out+errOut != "" {
		t.Fatalf("exit code %d\n%s%s", code, out, errOut)
	}
	page := filepath.Join(dir, "digestctl.1")
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), ".TH DIGESTCTL 1 ") {
		t.Errorf("the page is %.60q, %v", text, err)
	}
	if _, errOut, code := ctltest.Run(t, man.Command, "man", filepath.Join(dir, "absent")); code != 1 || !strings.Contains(errOut, "cannot write the manual pages: ") {
		t.Errorf("no such directory: exit code %d, %s", code, errOut)
	}
	if err := os.Remove(page); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", page); err != nil {
		t.Fatal(err)
	}
	if _, _, code := ctltest.Run(t, man.Command, "man", dir); code != 1 {
		t.Errorf("a page in the place of a link: exit code %d", code)
	}
}
