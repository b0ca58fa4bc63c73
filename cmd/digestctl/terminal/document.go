// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON prints a document.
func (t *UI) JSON(v any) error {
	data, err := encode(v, "  ")
	if err == nil {
		_, err = t.Out.Write(data)
	}
	return err
}

// JSONLine prints a document on one line.
func (t *UI) JSONLine(v any) error {
	data, err := encode(v, "")
	if err == nil {
		_, err = t.Out.Write(data)
	}
	return err
}

// Compact returns a document on one line, without its line break.
func Compact(v any) ([]byte, error) {
	data, err := encode(v, "")
	return bytes.TrimSpace(data), err
}

// Indented returns a document with a prefix before all lines but the first, without its line
// break.
func Indented(v any, prefix string) ([]byte, error) {
	data, err := encode(v, "  ")
	return bytes.ReplaceAll(bytes.TrimSpace(data), []byte("\n"), []byte("\n"+prefix)), err
}

// encode encodes a document. A list that is always there is empty rather than null, as its
// schema promises.
func encode(v any, indent string) ([]byte, error) {
	document := reflect.New(reflect.TypeOf(v)).Elem()
	document.Set(reflect.ValueOf(v))
	fill(document)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(document.Interface())
	return visible(b.Bytes()), err
}

// visible escapes what json leaves as it is in texts and a terminal would obey: C1 control
// characters, and characters that reorder text. To a program the document is the same.
func visible(document []byte) []byte {
	obeyed := func(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }
	if !bytes.ContainsFunc(document, obeyed) {
		return document
	}
	var b []byte
	for _, r := range string(document) {
		switch {
		case !obeyed(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}

// fill makes nil slices and maps empty, except those of fields that may be left out.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	case reflect.Struct:
		for f, field := range v.Fields() {
			_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			empty := options != "" && field.IsZero()
			if f.IsExported() && !empty || f.Anonymous && field.CanSet() {
				fill(field)
			}
		}
	}
}
