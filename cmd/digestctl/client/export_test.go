// SPDX-License-Identifier: Apache-2.0

package client

// AskContent is how digestctl of an ordinary user asks about a file.
var AskContent = (*Client).askContent
