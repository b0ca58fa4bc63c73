// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
)

// Dict is a struct as the bus carries it: a{sv}, with the keys of its JSON form. Text is s,
// truth b, small numbers u, counts and large numbers t, bytes ay, times t (microseconds since
// 1970, UTC), durations t (nanoseconds), structs a{sv}, and lists of these as and aa{sv}.
type Dict = map[string]dbus.Variant

// Encode turns a struct of this package into its Dict.
func Encode(v any) Dict { return encodeStruct(reflect.ValueOf(v)) }

// EncodeAll encodes a list of structs. The result is never nil.
func EncodeAll[T any](list []T) []Dict {
	dicts := make([]Dict, len(list))
	for i := range list {
		dicts[i] = encodeStruct(reflect.ValueOf(&list[i]).Elem())
	}
	return dicts
}

// Decode fills the struct to which v points. It skips unknown keys, since a newer daemon may
// send more. A known key with a value of the wrong type is an error.
func Decode(d Dict, v any) error { return decodeStruct(d, reflect.ValueOf(v).Elem()) }

// DecodeAll decodes a list of structs.
func DecodeAll[T any](dicts []Dict) ([]T, error) {
	list := make([]T, len(dicts))
	for i, d := range dicts {
		if err := Decode(d, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// The D-Bus signatures of the values.
var (
	sigString  = dbus.SignatureOf("")
	sigBool    = dbus.SignatureOf(false)
	sigUint32  = dbus.SignatureOf(uint32(0))
	sigUint64  = dbus.SignatureOf(uint64(0))
	sigBytes   = dbus.SignatureOf([]byte(nil))
	sigStrings = dbus.SignatureOf([]string(nil))
	sigDict    = dbus.SignatureOf(Dict(nil))
	sigDicts   = dbus.SignatureOf([]Dict(nil))
)

// field describes one field of a struct, as reflection found it.
type field struct {
	key      string
	index    []int
	omitzero bool
}

var fieldsOf sync.Map // reflect.Type → []field

// fields lists the fields of a struct; the fields of an embedded struct stand in its place.
func fields(t reflect.Type) []field {
	if known, ok := fieldsOf.Load(t); ok {
		return known.([]field)
	}
	var list []field
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		list = append(list, field{key, f.Index, options == "omitzero"})
	}
	fieldsOf.Store(t, list)
	return list
}

func encodeStruct(v reflect.Value) Dict {
	list := fields(v.Type())
	d := make(Dict, len(list))
	for _, f := range list {
		x := v.FieldByIndex(f.index)
		if f.omitzero && x.IsZero() {
			continue
		}
		d[f.key] = encodeValue(x)
	}
	return d
}

// encodeValue encodes the kinds that the structs of this package use; a test sends each of them
// through it.
func encodeValue(v reflect.Value) dbus.Variant {
	switch x := v.Interface().(type) {
	case time.Time:
		return dbus.MakeVariantWithSignature(microseconds(x), sigUint64)
	case []string:
		list := make([]string, len(x))
		for i, s := range x {
			list[i] = Clean(s)
		}
		return dbus.MakeVariantWithSignature(list, sigStrings)
	case []byte:
		return dbus.MakeVariantWithSignature(x, sigBytes)
	}
	switch v.Kind() {
	case reflect.String:
		return dbus.MakeVariantWithSignature(Clean(v.String()), sigString)
	case reflect.Bool:
		return dbus.MakeVariantWithSignature(v.Bool(), sigBool)
	case reflect.Uint32:
		return dbus.MakeVariantWithSignature(uint32(v.Uint()), sigUint32)
	case reflect.Uint64:
		return dbus.MakeVariantWithSignature(v.Uint(), sigUint64)
	case reflect.Int, reflect.Int64:
		return dbus.MakeVariantWithSignature(uint64(max(v.Int(), 0)), sigUint64)
	case reflect.Pointer:
		return dbus.MakeVariantWithSignature(encodeStruct(v.Elem()), sigDict)
	case reflect.Struct:
		return dbus.MakeVariantWithSignature(encodeStruct(v), sigDict)
	case reflect.Slice:
		dicts := make([]Dict, v.Len())
		for i := range dicts {
			dicts[i] = encodeStruct(v.Index(i))
		}
		return dbus.MakeVariantWithSignature(dicts, sigDicts)
	}
	panic("api: a field of type " + v.Type().String() + " has no form on D-Bus")
}

func decodeStruct(d Dict, v reflect.Value) error {
	for _, f := range fields(v.Type()) {
		x, ok := d[f.key]
		if !ok {
			continue
		}
		if err := decodeValue(x.Value(), v.FieldByIndex(f.index)); err != nil {
			return fmt.Errorf("%s: %w", f.key, err)
		}
	}
	return nil
}

func decodeValue(x any, v reflect.Value) error {
	switch to := v.Addr().Interface().(type) {
	case *time.Time:
		if us, ok := x.(uint64); ok {
			*to = fromMicroseconds(us)
			return nil
		}
		return mismatch(x, v)
	}
	switch x := x.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(x)
			return nil
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(x)
			return nil
		}
	case uint32:
		if v.Kind() == reflect.Uint32 {
			v.SetUint(uint64(x))
			return nil
		}
	case uint64:
		switch {
		case v.Kind() == reflect.Uint64:
			v.SetUint(x)
			return nil
		case v.CanInt() && !v.OverflowInt(int64(x)) && int64(x) >= 0:
			v.SetInt(int64(x))
			return nil
		}
	case []byte:
		if v.Type() == reflect.TypeFor[[]byte]() {
			v.SetBytes(x)
			return nil
		}
	case []string:
		if v.Type() == reflect.TypeFor[[]string]() {
			v.Set(reflect.ValueOf(x))
			return nil
		}
	case Dict:
		switch v.Kind() {
		case reflect.Struct:
			return decodeStruct(x, v)
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			return decodeStruct(x, v.Elem())
		}
	case []Dict:
		if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Struct {
			break
		}
		list := reflect.MakeSlice(v.Type(), len(x), len(x))
		for i, d := range x {
			if err := decodeStruct(d, list.Index(i)); err != nil {
				return err
			}
		}
		v.Set(list)
		return nil
	}
	return mismatch(x, v)
}

func mismatch(x any, v reflect.Value) error {
	return fmt.Errorf("cannot put %T into %s", x, v.Type())
}

// microseconds returns t as microseconds since 1970 (UTC), or 0 if t is zero.
func microseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.UnixMicro(), 0))
}

func fromMicroseconds(us uint64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us)).UTC()
}

// Clean makes s a valid D-Bus string: a bus disconnects a client that sends a text which is not
// UTF-8 or contains NUL. Clean replaces such characters with U+FFFD.
func Clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
