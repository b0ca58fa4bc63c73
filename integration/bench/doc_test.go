// SPDX-License-Identifier: Apache-2.0

// Package bench_test measures what digestd promises to its users' time: the
// first sync, what a transaction costs, an answer to why, and being idle. Each
// figure is that of the program as it is shipped, with rpm, the plugin and a
// bus, and is compared with rpm alone in the same run.
//
// It holds nothing to be passed or failed but the figures' bounds, which it
// reports: machines differ. Run it by run.sh, as root, on a machine that does
// nothing else.
package bench_test
