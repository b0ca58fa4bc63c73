// SPDX-License-Identifier: Apache-2.0

package needs

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dataVariable names the directory of data that was not made here.
const dataVariable = "DIGESTD_TEST_DATA"

// Data returns the content of a file that others made, such as a header that a
// distribution signed; of a name that ends in .gz, what is packed in it. Such files are no
// part of this tree. They are looked for in the directory that DIGESTD_TEST_DATA names, or in
// ../shared/data beside the tree, and the test is skipped where that directory is not there. A
// directory that lacks the file fails the test.
func Data(t testing.TB, name string) []byte {
	t.Helper()
	dir, named := os.LookupEnv(dataVariable)
	if !named {
		dir = filepath.Join(tree(t), "../shared/data")
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("%s of others is not there (%v); %s names the directory that has it", name, err, dataVariable)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatalf("%v; %s names the directory of data that others made", err, dataVariable)
	}
	if !strings.HasSuffix(name, ".gz") {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err == nil {
		data, err = io.ReadAll(z)
	}
	if err != nil {
		t.Fatalf("cannot unpack %s: %v", name, err)
	}
	return data
}

// tree returns the top of the source tree, below which go test runs every test.
func tree(t testing.TB) string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	t.Fatalf("cannot find the source tree above the directory of the test: %v", err)
	return ""
}
