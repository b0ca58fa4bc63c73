// SPDX-License-Identifier: Apache-2.0

// Package fleet reads policy files: TOML files with the rules that the owner of many machines
// sets for all of them. docs/fleet.md describes the format.
//
// It promises that a file is understood whole or not at all, that an error names the line and
// the key, and that no file makes it use much memory or time. It opens nothing: its caller
// reads the file and decides whether it counts.
package fleet
