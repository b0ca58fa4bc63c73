// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
)

func signed(c *config.Config) { c.Unsigned = "withhold" }

// A package has a list if it is in rpm's database and a trusted key vouches for it, and only
// then.
func TestListsFollowTheDatabase(t *testing.T) {
	m := daemontest.New(t, signed)
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one"})
	stranger := daemontest.Package(t, "stranger", "nobody", map[string]string{"/usr/bin/stranger": "two"})
	m.Install(t, hello, stranger)
	m.Import(t, hello.Key)
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"installed", func() {}, []string{"tlv-hello-0:1-1.noarch"}},
		{"key imported", func() { m.Import(t, stranger.Key) }, []string{"tlv-hello-0:1-1.noarch", "tlv-stranger-0:1-1.noarch"}},
		{"erased", func() { m.Erase(t, hello) }, []string{"tlv-stranger-0:1-1.noarch"}},
		{"key gone", func() { m.Forget(t, stranger.Key) }, nil},
	} {
		step.do()
		m.Sync(t)
		if got := m.Names(t); !slices.Equal(got, step.want) {
			t.Errorf("%s: the lists are %v, want %v", step.name, got, step.want)
		}
	}
}
