// SPDX-License-Identifier: Apache-2.0

package man

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// shapes describes the documents that a command prints.
func shapes(types []reflect.Type) string {
	said := make([]string, len(types))
	for i, t := range types {
		said[i] = "`" + shape(t) + "`"
	}
	return strings.Join(said, " or ")
}

// shape describes a document: structs of package api by name, others by their fields.
func shape(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Pointer:
		return shape(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "bytes"
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
			if key == "-" {
				continue
			}
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
