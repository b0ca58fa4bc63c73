// SPDX-License-Identifier: Apache-2.0

package header

import "encoding/binary"

// LargestFile returns the size in bytes of the package's largest file; 0 if the header
// has no sizes that can be read.
func (h *Header) LargestFile() (largest uint64) {
	if sizes, err := h.numbers(TagLongFileSizes, typeInt64); err == nil {
		for ; len(sizes) >= 8; sizes = sizes[8:] {
			largest = max(largest, binary.BigEndian.Uint64(sizes))
		}
		return largest
	}
	sizes, err := h.numbers(TagFileSizes, typeInt32)
	if err != nil {
		return 0
	}
	for ; len(sizes) >= 4; sizes = sizes[4:] {
		largest = max(largest, uint64(binary.BigEndian.Uint32(sizes)))
	}
	return largest
}
