// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"io"

	"github.com/digestd/digestd/daemon/api"
)

// Upload sends a file in pieces and returns its number.
func (c *Client) Upload(ctx context.Context, f io.ReaderAt) (id uint64, err error) {
	buf := make([]byte, api.MaxUpload)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		if n > 0 {
			var failure error
			if id, failure = c.OwnAppend(ctx, id, buf[:n]); failure != nil {
				return id, failure
			}
			at += int64(n)
		}
		if err == io.EOF {
			return id, nil
		}
		if err != nil {
			return id, fmt.Errorf("cannot read the list: %w", err)
		}
	}
}
