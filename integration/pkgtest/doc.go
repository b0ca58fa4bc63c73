// SPDX-License-Identifier: Apache-2.0

// Package pkgtest makes the real parts that tests of the whole need: a root with
// rpm's own database, packages in thousands or exactly as a distribution builds
// them, the keys that sign them, and digestd itself, running on such a root. [Main] sets
// a test binary up, [Machine] is a root with a daemon and the questions that tests ask of
// both, and [Release] another version of rpm to ask them with.
//
// It promises that nothing outside of the directories it is given is touched, rpm's own
// configuration of the machine included, and that what it starts ends with the test. Everything
// is made by the real tools, or verified by them: no part is imitated. Keys are worthless by
// design, see [NewKey]. Each test checks for itself what it wants to see.
package pkgtest
