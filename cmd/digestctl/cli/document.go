// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// DocumentMark is the annotation of a command with the shape of the document that
// it prints for programs, for the manual.
const DocumentMark = "document"

// Prints are the annotations of a command that prints such a document.
func Prints(document any) map[string]string {
	return map[string]string{DocumentMark: shape(reflect.TypeOf(document))}
}

// shape describes a document: structs of package api by name, our own by their
// fields.
func shape(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Slice:
		return "[" + shape(t.Elem()) + ", ...]"
	case t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[api.List]().PkgPath():
		return t.Name()
	case t.Kind() == reflect.Struct:
		var fields []string
		for f := range t.Fields() {
			if f.Anonymous {
				fields = append(fields, "all of "+shape(f.Type))
				continue
			}
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, fmt.Sprintf("%q: %s", key, shape(f.Type)))
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Map:
		return "{name: value, ...}"
	}
	return "number"
}
