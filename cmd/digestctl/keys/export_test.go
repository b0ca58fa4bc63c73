// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/userfile/filetest"
	"github.com/digestd/digestd/daemon/api"
)

func TestEntriesFollowNoLink(t *testing.T) {
	const entry = "bin:0123456789abcdef"
	retired := []api.Retired{{List: "tlv-a", Entry: entry}}
	filetest.FollowsNoLink(t, "tlv-a."+entry[len(entry)-16:], func(path string) error { return writeEntries(filepath.Dir(path), retired) })
}
