// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/schema"
	"github.com/google/go-cmp/cmp"
)

type shared struct {
	Since time.Time `json:"since"`
}

// inner may contain itself.
type inner struct {
	Name string         `json:"name"`
	Next *inner         `json:"next,omitempty"`
	Free map[string]any `json:"free"`
}

type document struct {
	shared
	Count    uint32            `json:"count"`
	Delta    int               `json:"delta"`
	Share    float64           `json:"share,omitempty"`
	Done     bool              `json:"done"`
	Raw      []byte            `json:"raw"`
	Address  netip.Addr        `json:"address"`
	Inner    []inner           `json:"inner"`
	ByName   map[string]uint8  `json:"byName"`
	Nameless struct{ X int }   `json:"nameless"`
	Any      any               `json:"any"`
	Untagged string            // its key is its name
	Not      func()            `json:"-"`
	hidden   map[string]func() // is in no document
}

func TestOf(t *testing.T) {
	d := schema.Descriptions{"schema_test.inner": "one of several", "schema_test.inner.Name": "as it is called", "schema_test.shared.Since": "when it began",
		"schema_test.document.Inner": "what it has"}
	zero := 0
	of := func(kind string) *schema.Schema { return &schema.Schema{Type: kind} }
	natural := &schema.Schema{Type: "integer", Minimum: &zero}
	want := &schema.Schema{
		Dialect: schema.Dialect, ID: "urn:digestd:digestctl:own-add", Title: "digestctl own add --json", Description: "Add one",
		AnyOf: []*schema.Schema{{Ref: "#/$defs/Document"}, {Ref: "#/$defs/Inner"}},
		Defs: map[string]*schema.Schema{
			"Document": {Type: "object",
				Required: []string{"Untagged", "address", "any", "byName", "count", "delta", "done", "inner", "nameless", "raw", "since"},
				Properties: map[string]*schema.Schema{
					"since": {Type: "string", Format: "date-time", Description: "when it began"}, "count": natural, "delta": of("integer"), "share": of("number"), "done": of("boolean"),
					"raw": {Type: "string", Encoding: "base64"}, "address": of("string"), "Untagged": of("string"), "any": {},
					"inner":    {Type: "array", Items: &schema.Schema{Ref: "#/$defs/Inner"}, Description: "what it has"},
					"byName":   {Type: "object", Additional: natural},
					"nameless": {Type: "object", Required: []string{"X"}, Properties: map[string]*schema.Schema{"X": of("integer")}},
				}},
			"Inner": {Type: "object", Description: "one of several", Required: []string{"free", "name"}, Properties: map[string]*schema.Schema{
				"name": {Type: "string", Description: "as it is called"}, "next": {Ref: "#/$defs/Inner"}, "free": of("object")}},
		},
	}
	got := d.Of("own add", "Add one", reflect.TypeOf(document{hidden: nil}), reflect.TypeFor[*inner]())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Structs of two packages with the same name are two structs in a schema.
func TestOfNamesakes(t *testing.T) {
	type Time struct{ Zone string }
	type both struct {
		First  schema.Schema
		Second Time
		Third  struct{ Schema Schema }
	}
	got := schema.Descriptions{}.Of("x", "", reflect.TypeFor[both]())
	names := slices.Sorted(maps.Keys(got.Defs))
	if want := []string{"Both", "Schema", "Time", "schema_test.Schema"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if ref := got.Defs["Both"].Properties["Third"].Properties["Schema"].Ref; ref != "#/$defs/schema_test.Schema" {
		t.Errorf("the second Schema is %s", ref)
	}
}

// Schema has the name of a struct of another package.
type Schema struct{ Text string }

// A type that documents cannot have is a mistake of the programmer.
func TestOfImpossible(t *testing.T) {
	defer func() {
		if got := recover(); got != "no JSON Schema of chan int" {
			t.Error(got)
		}
	}()
	schema.Descriptions{}.Of("x", "", reflect.TypeFor[struct{ C chan int }]())
}

func TestStructs(t *testing.T) {
	var names []string
	for _, s := range schema.Structs([]reflect.Type{reflect.TypeFor[document]()}) {
		names = append(names, s.Name())
	}
	slices.Sort(names)
	if want := []string{"", "document", "inner", "shared"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// A schema has no key for what it does not say.
func TestEncoded(t *testing.T) {
	data, err := json.Marshal(schema.Descriptions{}.Of("x", "", reflect.TypeFor[struct{ N uint }]()))
	const want = `{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"urn:digestd:digestctl:x","title":"digestctl x --json",` +
		`"anyOf":[{"type":"object","required":["N"],"properties":{"N":{"type":"integer","minimum":0}}}]}`
	if err != nil || string(data) != want {
		t.Errorf("%s, %v", data, err)
	}
}
