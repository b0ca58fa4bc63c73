// SPDX-License-Identifier: Apache-2.0

// Package nevra holds what rpm calls a package by: name, epoch, version,
// release and architecture, and the order that rpm gives to versions.
//
// It promises the same order as the installed rpm, bounded and printable text,
// and names that are safe within a file name but for their length. It leaves
// to package digestlist/header where the parts come from.
package nevra
