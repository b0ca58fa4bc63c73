// SPDX-License-Identifier: Apache-2.0

// Package schematest compares what digestctl prints with --json with its JSON Schemas. It is
// stricter than a schema: a key that the schema does not name is an error, because programs
// cannot learn of it.
package schematest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Check compares the documents in output, at least one, with a JSON Schema.
func Check(schema, output []byte) error {
	compiled, err := compile(schema)
	if err != nil {
		return fmt.Errorf("bad schema: %w", err)
	}
	documents := 0
	for dec := json.NewDecoder(bytes.NewReader(output)); ; documents++ {
		dec.UseNumber()
		var v any
		switch err := dec.Decode(&v); {
		case errors.Is(err, io.EOF) && documents > 0:
			return nil
		case err != nil:
			return fmt.Errorf("document %d: %w", documents+1, err)
		}
		if err := compiled.Validate(v); err != nil {
			return fmt.Errorf("document %d: %w", documents+1, err)
		}
	}
}

func compile(schema []byte) (*jsonschema.Schema, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	closeObjects(v)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource("urn:schema", v); err != nil {
		return nil, err
	}
	return c.Compile("urn:schema")
}

// closeObjects makes a schema permit no other keys than those it names.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			closeObjects(inner)
		}
		if _, open := v["additionalProperties"]; v["type"] == "object" && v["properties"] != nil && !open {
			v["additionalProperties"] = false
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}
