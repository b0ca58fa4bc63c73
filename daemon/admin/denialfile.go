// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// parseDenials reads a document of denials. It is strict: what it does not
// understand whole, it does not understand.
func parseDenials(document []byte) ([]record.Denial, error) {
	if len(document) > api.MaxDenialDocument {
		return nil, fmt.Errorf("it has more than %d bytes", api.MaxDenialDocument)
	}
	if !utf8.Valid(document) {
		return nil, errors.New("it is not valid UTF-8")
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return nil, err
	}
	switch {
	case head.Format != api.DenialFormat:
		return nil, fmt.Errorf("its format is %.40q, expected %q", head.Format, api.DenialFormat)
	case head.Version != api.DenialVersion:
		return nil, fmt.Errorf("its version is %d; this digestd supports version %d", head.Version, api.DenialVersion)
	}
	if err := keysOnce(document); err != nil {
		return nil, err
	}
	var doc api.DenialDocument
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if len(doc.Denials) > api.MaxDenials {
		return nil, fmt.Errorf("it has %d denials; at most %d are allowed", len(doc.Denials), api.MaxDenials)
	}
	list := make([]record.Denial, 0, len(doc.Denials))
	for i, r := range doc.Denials {
		d, err := recordFrom(r)
		if err != nil {
			return nil, fmt.Errorf("denial %d: %w", i+1, err)
		}
		list = append(list, d)
	}
	return list, nil
}

func recordFrom(r api.DenialRecord) (d record.Denial, err error) {
	for _, text := range []struct {
		name, text string
		most       int
	}{{"path", r.Path, 4096}, {"reason", r.Reason, policy.MaxReason}, {"ticket", r.Ticket, policy.MaxTicket}} {
		if len(text.text) > text.most {
			return d, fmt.Errorf("its %s has more than %d bytes", text.name, text.most)
		}
		if text.name != "path" && strings.ContainsFunc(text.text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return d, fmt.Errorf("its %s contains an unprintable character", text.name)
		}
	}
	if err := errors.Join(writable(r.Expires), writable(r.Since)); err != nil {
		return d, err
	}
	if r.Reason == "" {
		return d, errors.New("it gives no reason")
	}
	if r.Package == policy.KeyName {
		return d, errors.New("rpm uses the name gpg-pubkey for keys")
	}
	d = record.Denial{Digests: r.Digests, Path: r.Path, Package: r.Package, Arch: r.Arch, Below: r.Below, Exact: r.Exact,
		Ticket: r.Ticket, Expires: r.Expires}
	d.Reason, d.When = r.Reason, r.Since
	p, err := view.PolicyDenial(d)
	if err != nil {
		return d, err
	}
	return view.RecordOf(p, r.Path, d.Act), nil // spelled as here
}

// keysOnce refuses an object with a key twice, of which encoding/json would take
// the last.
func keysOnce(document []byte) error {
	dec := json.NewDecoder(bytes.NewReader(document))
	type level struct {
		keys map[string]bool // nil in an array
		key  bool            // a key comes next
	}
	var stack []level
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if top := len(stack) - 1; top >= 0 && stack[top].keys != nil {
			if key, ok := token.(string); ok && stack[top].key {
				folded := strings.ToLower(key) // as encoding/json matches them
				if stack[top].keys[folded] {
					return fmt.Errorf("the key %.40q appears twice", key)
				}
				stack[top].keys[folded], stack[top].key = true, false
				continue
			}
			stack[top].key = true
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{map[string]bool{}, true})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
	}
}
