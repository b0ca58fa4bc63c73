// SPDX-License-Identifier: Apache-2.0

// Package schema makes JSON Schemas (draft 2020-12) of the documents that the verbs of digestctl
// print with --json, from the Go types of these documents.
//
// A schema describes what a program may rely on: the keys, their types, and which of them are
// always present. Within a major version keys are added and never removed, no key changes its
// type, and a key that is always present stays so. Therefore a schema permits additional keys.
package schema

import (
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Dialect is the version of JSON Schema that schemas are written in.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Schema is a JSON Schema, limited to the keywords that this package uses.
type Schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	ID          string             `json:"$id,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	AnyOf       []*Schema          `json:"anyOf,omitempty"`
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Encoding    string             `json:"contentEncoding,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Additional  *Schema            `json:"additionalProperties,omitempty"`
	Defs        map[string]*Schema `json:"$defs,omitempty"`
}

// Descriptions are the comments of structs and fields in the source, by the names that TypeKey
// and FieldKey return.
type Descriptions map[string]string

// TypeKey returns the name of a struct in Descriptions: the last element of its package's path,
// and its name.
func TypeKey(t reflect.Type) string {
	return t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:] + "." + t.Name()
}

// FieldKey returns the name of a field in Descriptions.
func FieldKey(t reflect.Type, field string) string { return TypeKey(t) + "." + field }

// Of returns the schema of a verb that prints one of these documents, each of which is one JSON
// value.
func (d Descriptions) Of(verb, title string, documents ...reflect.Type) *Schema {
	m := newMaker(d)
	s := &Schema{Dialect: Dialect, ID: "urn:digestd:digestctl:" + FileName(verb), Title: "digestctl " + verb + " --json", Description: title}
	for _, t := range documents {
		s.AnyOf = append(s.AnyOf, m.of(t))
	}
	s.Defs = m.defs
	return s
}

// FileName returns the name of a verb's schema file, without its extension.
func FileName(verb string) string { return strings.ReplaceAll(verb, " ", "-") }

// maker collects the structs of one schema.
type maker struct {
	descriptions Descriptions
	defs         map[string]*Schema
	names        map[reflect.Type]string // of structs in defs
	structs      map[reflect.Type]bool   // that were seen, also those that are embedded in others
}

func newMaker(d Descriptions) *maker {
	return &maker{d, map[string]*Schema{}, map[reflect.Type]string{}, map[reflect.Type]bool{}}
}

var (
	number = reflect.TypeFor[float64]()
	moment = reflect.TypeFor[time.Time]()
	texts  = reflect.TypeFor[encoding.TextMarshaler]()
)

// of describes one type as package json encodes it. Package json encodes nothing else in the
// documents: a type without a description here is a mistake of the programmer.
func (m *maker) of(t reflect.Type) *Schema {
	switch t.Kind() {
	case reflect.Pointer:
		return m.of(t.Elem())
	case reflect.Interface:
		return &Schema{}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return &Schema{Type: "integer", Minimum: new(int)}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return &Schema{Type: "integer"}
	case number.Kind():
		return &Schema{Type: "number"}
	case reflect.Map:
		s := &Schema{Type: "object"}
		if t.Elem().Kind() != reflect.Interface {
			s.Additional = m.of(t.Elem())
		}
		return s
	}
	switch {
	case t == moment:
		return &Schema{Type: "string", Format: "date-time"}
	case t.Implements(texts), t.Kind() == reflect.String:
		return &Schema{Type: "string"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return &Schema{Type: "string", Encoding: "base64"}
	case t.Kind() == reflect.Slice:
		return &Schema{Type: "array", Items: m.of(t.Elem())}
	case t.Kind() == reflect.Struct && t.Name() == "":
		return m.object(t)
	case t.Kind() == reflect.Struct:
		return &Schema{Ref: "#/$defs/" + m.define(t)}
	}
	panic("no JSON Schema of " + t.String())
}

// define describes a struct by itself, once, and returns its name.
func (m *maker) define(t reflect.Type) string {
	if name, ok := m.names[t]; ok {
		return name
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if m.defs[name] != nil { // of another package
		name = TypeKey(t)
	}
	m.names[t], m.defs[name] = name, &Schema{} // a struct may contain itself
	*m.defs[name] = *m.object(t)
	return name
}

func (m *maker) object(t reflect.Type) *Schema {
	s := &Schema{Type: "object", Properties: map[string]*Schema{}}
	if t.Name() != "" {
		s.Description = m.descriptions[TypeKey(t)]
	}
	m.fields(s, t)
	slices.Sort(s.Required)
	return s
}

// fields adds the fields of a struct, and of the structs that are embedded in it.
func (m *maker) fields(s *Schema, t reflect.Type) {
	m.structs[t] = true
	for f := range t.Fields() {
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case key == "-" || !f.Anonymous && !f.IsExported():
			continue
		case f.Anonymous && key == "":
			m.fields(s, f.Type)
			continue
		case key == "":
			key = f.Name
		}
		property := m.of(f.Type)
		property.Description = m.descriptions[FieldKey(t, f.Name)]
		s.Properties[key] = property
		if options == "" {
			s.Required = append(s.Required, key)
		}
	}
}

// Structs returns the structs that documents consist of.
func Structs(documents []reflect.Type) []reflect.Type {
	m := newMaker(nil)
	for _, t := range documents {
		m.of(t)
	}
	return slices.Collect(maps.Keys(m.structs))
}
