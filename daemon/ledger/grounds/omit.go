// SPDX-License-Identifier: Apache-2.0

package grounds

const Emptied = "its list would be empty"
