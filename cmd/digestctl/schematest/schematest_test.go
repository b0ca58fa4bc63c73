// SPDX-License-Identifier: Apache-2.0

package schematest

import (
	"strings"
	"testing"
)

const book = `{"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:book", "anyOf": [{"$ref": "#/$defs/Book"}],
"$defs": {"Book": {"type": "object", "required": ["title"], "properties": {
"title": {"type": "string"}, "bought": {"type": "string", "format": "date-time"}, "cover": {"type": "string", "contentEncoding": "base64"},
"shelves": {"type": "array", "items": {"type": "integer", "minimum": 0}}, "notes": {"type": "object"}}}}}`

func TestCheck(t *testing.T) {
	for output, trouble := range map[string]string{
		`{"title": "Emma", "bought": "2026-01-31T12:00:00.5+01:00", "cover": "AQI=", "shelves": [1, 2], "notes": {"any": 1}}`: "",
		`{"title": "Emma"}
{"title": "Persuasion"}`: "",
		``:                                         "document 1: EOF",
		`{"title": "Emma"} {"title": 7}`:           "document 2",
		`{"title": "Emma"} {`:                      "unexpected EOF",
		`{"bought": "2026-01-31T12:00:00Z"}`:       "missing property 'title'",
		`{"title": "Emma", "bought": "today"}`:     "'today' is not valid date-time",
		`{"title": "Emma", "cover": "?"}`:          "base64",
		`{"title": "Emma", "shelves": null}`:       "got null, want array",
		`{"title": "Emma", "shelves": [-1]}`:       "minimum",
		`{"title": "Emma", "author": "J. Austen"}`: "additional properties 'author' not allowed",
	} {
		err := Check([]byte(book), []byte(output))
		if (err == nil) != (trouble == "") || err != nil && !strings.Contains(err.Error(), trouble) {
			t.Errorf("%s: %v, want %q", output, err, trouble)
		}
	}
	if err := Check([]byte(`{"type": "no such"}`), []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "bad schema") {
		t.Errorf("a schema with a type that does not exist: %v", err)
	}
}
