// SPDX-License-Identifier: Apache-2.0

package header

import (
	"errors"
	"fmt"

	"github.com/digestd/digestd/digestlist/nevra"
)

// NEVRA returns the package's name, epoch (0 when absent), version, release and
// architecture. The architecture of a gpg-pubkey header may be absent.
func (h *Header) NEVRA() (nevra.NEVRA, error) {
	n, err := h.nevra()
	if err == nil {
		err = n.Valid()
	}
	if err != nil {
		return nevra.NEVRA{}, fmt.Errorf("cannot read name and version: %w", err)
	}
	return n, nil
}

func (h *Header) nevra() (n nevra.NEVRA, err error) {
	if n.Name, err = h.String(TagName); err != nil {
		return n, err
	}
	if n.Epoch, err = h.Uint32(TagEpoch); err != nil && !errors.Is(err, ErrNoTag) {
		return n, err
	}
	if n.Version, err = h.String(TagVersion); err != nil {
		return n, err
	}
	if n.Release, err = h.String(TagRelease); err != nil {
		return n, err
	}
	if n.Arch, err = h.String(TagArch); err != nil && !errors.Is(err, ErrNoTag) {
		return n, err
	}
	return n, nil
}
