// SPDX-License-Identifier: Apache-2.0

package userfile_test

import (
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/cmd/digestctl/userfile/filetest"
)

func TestOutputFollowsNoLink(t *testing.T) {
	filetest.FollowsNoLink(t, "output", func(path string) error { return userfile.Write(path, []byte("new"), 0o644) })
}
