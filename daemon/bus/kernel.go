// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

// KernelBackend is what the daemon does with the kernel's keyrings.
type KernelBackend interface {
	// Kernel asks the kernel what it can do for lists; it completes a Status.
	Kernel() api.Kernel
	// SignerEnrol brings the certificate that signs lists to where the kernel looks
	// for it: ima, mok or file.
	SignerEnrol(ctx context.Context, by api.Actor, where string) (api.Enrolment, error)
	// Retired returns a page of the lists that must not come back.
	Retired(ctx context.Context, offset, limit uint32) (page []api.Retired, total uint32, err error)
}

// kernelMethods are those about what the kernel knows of keys and lists.
func (s *Server) kernelMethods() []method {
	b := s.backend
	return []method{
		{
			name: "SignerEnrol",
			doc: "Brings the certificate that signs lists, and the one that is prepared to, to where the kernel looks for it, and returns " +
				"what was done and what is left (`Enrolment`). `where` is `ima` for the kernel's keyring, `file` for what the next boot " +
				"loads, or `mok` for what mokutil needs; that program is the caller's to run.",
			in: []argument{{name: "where", sig: "s", max: maxName}}, out: dict("enrolment"), action: actionKeys,
			call: func(c call) ([]any, error) {
				e, err := b.SignerEnrol(c.ctx, c.by, c.text(0))
				return []any{api.Encode(e)}, err
			},
		},
		{
			name: "Retired",
			doc:  "Returns a page of the lists that must not come back (`Retired`), as the kernel's `.blacklist` would name them.",
			in:   []argument{argOffset, argLimit}, out: paged("retired"),
			call: func(c call) ([]any, error) {
				offset, limit, err := c.page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Retired(c.ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
	}
}
