// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/report"
	"github.com/digestd/digestd/cmd/digestctl/userfile/filetest"
)

func TestReportFollowsNoLink(t *testing.T) {
	filetest.FollowsNoLink(t, "report", func(path string) error { return writeWhole(path, &report.Report{}) })
}
