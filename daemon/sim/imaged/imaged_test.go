// SPDX-License-Identifier: Apache-2.0

package imaged_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/sim/imaged"
	"github.com/digestd/digestd/daemon/sim/story"
	"github.com/digestd/digestd/daemon/sim/system"
)

func TestBuilder(t *testing.T) {
	for acts, stands := range map[string]bool{
		"": true, "revoke": false, "revoke restore": true, "drop": false, "drop import": true, "drop revoke import": false,
		"ban": false, "ban restore import": false, "revoke ban restore": false,
	} {
		var b imaged.Builder
		for _, how := range strings.Fields(acts) {
			b.Becomes(how)
		}
		if b.Stands() != stands {
			t.Errorf("after %q it stands: %v", acts, b.Stands())
		}
	}
}

// Each rule about who signed a list objects to what is wrong, and to nothing else.
func TestObjections(t *testing.T) {
	if none := (imaged.Image{}); none.There() {
		t.Error("a machine without an image has one")
	}
	app, tool := story.Packages()[0], story.Packages()[2]
	image := imaged.New()
	image.Lay(app, story.ByBuilder)
	image.Lay(tool, story.ByStranger)
	image.Signed = map[string]string{tool.List(): story.ByBuilder}
	revoked := imaged.Builder{}
	revoked.Becomes(story.BuilderRevoke)
	whole := story.Sorted(slices.Clone(app.Contents))
	for name, c := range map[string]struct {
		b     imaged.Builder
		found imaged.Found
		want  string
	}{
		"taken over":         {imaged.Builder{}, imaged.Found{List: app.List(), Contents: whole, By: story.ByBuilder, Certain: true}, ""},
		"made anew":          {imaged.Builder{}, imaged.Found{List: app.List(), Contents: whole, By: system.ByMachine, Certain: true}, "was made anew"},
		"stood":              {imaged.Builder{}, imaged.Found{List: app.List(), Contents: whole, By: system.ByMachine, Certain: true, Stood: true}, ""},
		"after a crash":      {imaged.Builder{}, imaged.Found{List: app.List(), Contents: whole, By: system.ByMachine}, ""},
		"by a stranger":      {imaged.Builder{}, imaged.Found{List: tool.List(), By: story.ByStranger}, "by a stranger"},
		"revoked":            {revoked, imaged.Found{List: app.List(), Contents: whole, By: story.ByBuilder, Stood: true}, "does not count"},
		"revoked, made anew": {revoked, imaged.Found{List: app.List(), Contents: whole, By: system.ByMachine, Certain: true}, ""},
		"other contents":     {imaged.Builder{}, imaged.Found{List: app.List(), Contents: whole[1:], By: story.ByBuilder}, "no such list"},
		"somebody put it":    {imaged.Builder{}, imaged.Found{List: app.List(), Contents: whole[1:], By: story.ByBuilder, Unknown: true}, ""},
		"was taken over":     {imaged.Builder{}, imaged.Found{List: tool.List(), By: story.ByBuilder, Stood: true}, ""},
	} {
		if got := image.Objection(c.b, c.found); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
