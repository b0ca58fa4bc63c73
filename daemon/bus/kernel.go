// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
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
func (s *Server) kernelMethods() []object.Method {
	b := s.backend
	return []object.Method{
		{
			Name: "SignerEnrol",
			Doc: "Gives the kernel the certificate that signs lists, and the prepared one, and returns the steps that are done and those that are left (`Enrolment`). `where` is `ima` for the kernel's keyring, `file` for what the next boot " +
				"loads, or `mok` for the files that mokutil needs; the caller then runs mokutil.",
			In: []object.Argument{{Name: "where", Sig: "s", Max: object.MaxName}}, Out: dict("enrolment"), Action: actionKeys,
			Call: func(c object.Call) ([]any, error) {
				e, err := b.SignerEnrol(c.Ctx, c.By, c.Text(0))
				return []any{api.Encode(e)}, err
			},
		},
		{
			Name: "Retired",
			Doc:  "Returns a page of the retired lists (`Retired`), in the form of the kernel's `.blacklist`.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("retired"),
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Retired(c.Ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
	}
}
