// SPDX-License-Identifier: Apache-2.0

package daemon

const emptied = "its list would be empty"
