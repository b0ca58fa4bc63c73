// SPDX-License-Identifier: Apache-2.0

// Package fleet reads policy files: what the owner of many machines says about all of
// them, in TOML. docs/fleet.md describes the format.
//
// It promises that a file is understood whole or not at all, that an error names the line
// and the key, and that no file makes it use much memory or time. It opens nothing: who
// brings a file says where it lies, and whether it counts.
package fleet
