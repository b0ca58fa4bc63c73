// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !arm64

package confine

// filterCalls does nothing here: the numbers of calls are known of the architectures that
// digestd is shipped for. Limits hold all the same.
func filterCalls() error { return nil }
