// SPDX-License-Identifier: Apache-2.0

// Package report_test looks at the page of digestctl report in a real browser: made from a
// machine whose packages, keys, files and reasons have names meant to break out of it, it must
// fit wide and narrow windows, run nothing, load nothing and still have its style. The content
// of the page is tested beside the command.
package report_test
