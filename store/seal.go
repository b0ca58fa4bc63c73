// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// bbolt has checksums for its meta pages only: a bit that flips in any other page would change a
// record, or move it to another key, unnoticed. So the first four bytes of every value are a
// CRC-32C over its bucket, key and content.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errSeal = errors.New("checksum does not match")

func checksum(bucket string, key, content []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(bucket))
	sum = crc32.Update(sum, castagnoli, []byte{0})
	sum = crc32.Update(sum, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, []byte{0})
	return crc32.Update(sum, castagnoli, content)
}

// seal returns the stored value for content.
func seal(bucket string, key, content []byte) []byte {
	value := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(content)), checksum(bucket, key, content))
	return append(value, content...)
}

// unseal returns the content of a stored value.
func unseal(bucket string, key, value []byte) ([]byte, error) {
	if len(value) < 4 || binary.BigEndian.Uint32(value) != checksum(bucket, key, value[4:]) {
		return nil, errSeal
	}
	return value[4:], nil
}
