// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/userfile/filetest"
)

func TestExportFollowsNoLink(t *testing.T) {
	filetest.FollowsNoLink(t, "new", func(path string) error { return writeNew(path, "new") })
}
