// SPDX-License-Identifier: Apache-2.0

// Package nevra has the parts of a package's name in rpm (name, epoch, version, release and
// architecture) and the order of versions.
//
// The order is that of the installed rpm. Texts are bounded and printable, and safe in a file
// name except for their length. Package digestlist/header reads the parts from headers.
package nevra
