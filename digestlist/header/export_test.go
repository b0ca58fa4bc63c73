// SPDX-License-Identifier: Apache-2.0

package header

// HashedBy is Hashed with another hash than SHA-256 as Go has it.
var HashedBy = (*Header).hashedBy
