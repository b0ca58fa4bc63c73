// SPDX-License-Identifier: Apache-2.0

//go:build !race

package feed

// raceDetector says that this program has it: its figures are not those of what is shipped.
const raceDetector = false
