// SPDX-License-Identifier: Apache-2.0

// Package fleet parses policy files: TOML files with the rules that the owner of many machines
// sets for all of them. docs/fleet.md describes the format.
//
// A file is valid as a whole or not at all, an error names the line and the key, and no file
// makes the parser use much memory or time. The package opens no files: the caller reads the
// file and decides whether it counts.
package fleet
