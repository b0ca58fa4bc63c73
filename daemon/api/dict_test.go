// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// all has one of every struct that travels.
func all() []any {
	return []any{
		&Status{}, &Counts{}, &Key{}, &Certificate{}, &SyncResult{}, &LastSync{}, &List{}, &File{}, &Why{}, &WhyList{},
		&Actor{}, &Event{}, &Grant{}, &Floor{}, &Problem{}, &Error{},
	}
}

// fill gives every field of a struct a value of its own.
func fill(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.UnixMicro(int64(*n) * 1e6).UTC()
		return
	case *[]byte:
		*x = []byte{byte(*n), 0xff}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	}
}

// wire sends a value as the bus does: through its bytes.
func wire(t *testing.T, d Dict) Dict {
	t.Helper()
	m := &dbus.Message{Type: dbus.TypeMethodReply, Body: []any{d}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(uint32(1)),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(d)),
	}}
	var b strings.Builder
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	m, err := dbus.DecodeMessage(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return m.Body[0].(Dict)
}

func TestEveryStructTravels(t *testing.T) {
	for _, v := range all() {
		empty := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		n := 0
		fill(reflect.ValueOf(v).Elem(), &n)
		for _, sent := range []any{v, empty} {
			d := wire(t, Encode(reflect.ValueOf(sent).Elem().Interface()))
			got := reflect.New(reflect.TypeOf(v).Elem()).Interface()
			if err := Decode(d, got); err != nil {
				t.Errorf("%T: %v", v, err)
			}
			if diff := cmp.Diff(sent, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%T changed on its way:\n%s", v, diff)
			}
		}
	}
}

// The keys are the promise to programs: camel case, and each of them once.
func TestKeys(t *testing.T) {
	for _, v := range all() {
		seen := map[string]bool{}
		for _, f := range fields(reflect.TypeOf(v).Elem()) {
			if f.key == "" || seen[f.key] || strings.ContainsAny(f.key, "_- ") || f.key[0] < 'a' || f.key[0] > 'z' {
				t.Errorf("%T has a bad key %q", v, f.key)
			}
			seen[f.key] = true
		}
	}
}

func TestDecodeMismatch(t *testing.T) {
	for _, c := range []struct {
		v any
		d Dict
	}{
		{&Status{}, Dict{"version": dbus.MakeVariant(uint32(1))}},
		{&Status{}, Dict{"since": dbus.MakeVariant("now")}},
		{&Status{}, Dict{"lists": dbus.MakeVariant([]string{"a"})}},
		{&Status{}, Dict{"keys": dbus.MakeVariant(Dict{})}},
		{&Status{}, Dict{"packages": dbus.MakeVariant(uint64(1 << 63))}},
		{&Status{}, Dict{"transaction": dbus.MakeVariant("yes")}},
		{&Status{}, Dict{"problems": dbus.MakeVariant([]Dict{{"id": dbus.MakeVariant(true)}})}},
		{&Why{}, Dict{"reasons": dbus.MakeVariant([]byte("a"))}},
		{&Why{}, Dict{"rawPath": dbus.MakeVariant([]string{"a"})}},
		{&Floor{}, Dict{"by": dbus.MakeVariant(Dict{"uid": dbus.MakeVariant("root")})}},
	} {
		if err := Decode(c.d, c.v); err == nil {
			t.Errorf("%v went into %+v", c.d, c.v)
		}
	}
	var l List
	if err := Decode(Dict{"name": dbus.MakeVariant("a"), "fromTheFuture": dbus.MakeVariant(1.5)}, &l); err != nil || l.Name != "a" {
		t.Errorf("an unknown key: %v, %+v", err, l)
	}
	if _, err := DecodeAll[List]([]Dict{{}, {"files": dbus.MakeVariant("many")}}); err == nil {
		t.Error("a bad element of a list was taken")
	}
}

func TestErrors(t *testing.T) {
	for _, want := range []*Error{
		{Code: Busy, Message: "too much", Advice: "wait"},
		{Code: NotFound, Message: "nothing"},
	} {
		name, body := want.DBusError()
		got := FromDBus(fmt.Errorf("call: %w", dbus.Error{Name: name, Body: body}))
		if diff := cmp.Diff(error(want), got); diff != "" {
			t.Error(diff)
		}
	}
	other := dbus.Error{Name: "org.freedesktop.DBus.Error.NoReply"}
	if got := FromDBus(other); !errors.As(got, new(dbus.Error)) {
		t.Errorf("the bus's own error became %v", got)
	}
	// A peer's error may have any body.
	for _, body := range [][]any{nil, {uint32(1)}, {"a", uint32(1)}} {
		if e, ok := FromDBus(dbus.Error{Name: errorPrefix + "Failed", Body: body}).(*Error); !ok || e.Code != Failed {
			t.Errorf("%v became %v", body, e)
		}
	}
	for cause, says := range map[error]string{syscall.ENOSPC: "free space", syscall.EDQUOT: "free space", syscall.EROFS: "remount,rw"} {
		if e := AsError(fmt.Errorf("cannot write: %w", cause)); e.Code != Failed || !strings.Contains(e.Advice, says) {
			t.Errorf("%v became %+v", cause, e)
		}
	}
	if e := AsError(errors.New("plain")); e.Advice != "" || e.Code != Failed || e.Message != "plain" {
		t.Errorf("got %+v", e)
	}
	if e := AsError(fmt.Errorf("cannot: %w", Errorf(Busy, "busy"))); e.Code != Busy {
		t.Errorf("got %+v", e)
	}
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		severities []string
		want       string
	}{
		{nil, Healthy},
		{[]string{SeverityNotice, SeverityNotice}, Healthy},
		{[]string{SeverityNotice, SeverityWarning}, Degraded},
		{[]string{SeverityError}, Degraded},
		{[]string{"from the future"}, Degraded},
	} {
		var problems []Problem
		for _, s := range c.severities {
			problems = append(problems, Problem{Severity: s})
		}
		if got := Health(problems); got != c.want {
			t.Errorf("%v: %s, want %s", c.severities, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("a\x00b\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		clean := Clean(s)
		if !utf8.ValidString(clean) || strings.Contains(clean, "\x00") {
			t.Errorf("%q became %q", s, clean)
		}
		if utf8.ValidString(s) && !strings.Contains(s, "\x00") && clean != s {
			t.Errorf("%q needed no change and became %q", s, clean)
		}
	})
}
