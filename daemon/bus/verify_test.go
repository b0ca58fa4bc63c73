// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/google/go-cmp/cmp"
)

func (b *stub) Verify(ctx context.Context, _ api.Actor, req api.VerifyRequest, report func(string, int, int)) (api.Verification, error) {
	b.changed("Verify")
	if b.verify != nil {
		return b.verify(ctx, req, report)
	}
	return api.Verification{}, nil
}

func (b *stub) Verification(context.Context) (api.Verification, error) {
	return api.Verification{}, nil
}

// Findings ignores limit, as Lists does.
func (b *stub) Findings(_ context.Context, offset, _ uint32) ([]api.Finding, uint32, error) {
	return b.findings[min(int(offset), len(b.findings)):], uint32(len(b.findings)), nil
}

func TestVerifyRequests(t *testing.T) {
	asked := make(chan api.VerifyRequest, 1)
	b := &stub{verify: func(_ context.Context, req api.VerifyRequest, report func(string, int, int)) (api.Verification, error) {
		report("comparing", 1, 2)
		asked <- req
		return api.Verification{State: api.VerifyFinished, Files: 7, Counts: api.VerifyCounts{Changed: 1}}, nil
	}}
	_, private := serve(t, b)
	p := connect(t, private)
	signals := p.listen()

	job := p.must("Verify", [][]byte{[]byte("/a\n\xff")}, []string{"bash"}, []string{"idle", "resume"})[0].(uint64)
	want := api.VerifyRequest{Paths: []string{"/a\n\xff"}, Packages: []string{"bash"}, Idle: true, Resume: true}
	if diff := cmp.Diff(want, receive(t, "the request", asked)); diff != "" {
		t.Error(diff)
	}
	ok, result := endOf(t, signals, job)
	var v api.Verification
	if err := api.Decode(result, &v); err != nil || !ok || v.Files != 7 || v.Counts.Changed != 1 {
		t.Errorf("ended %v with %+v, %v", ok, v, err)
	}
	job = p.must("Fix", [][]byte{}, []string{}, []string{"unlabelled"})[0].(uint64)
	if diff := cmp.Diff(api.VerifyRequest{Packages: []string{}, Fix: true, Unlabelled: true}, receive(t, "the request", asked)); diff != "" {
		t.Error(diff)
	}
	endOf(t, signals, job)

	long := []byte("/" + strings.Repeat("x", object.MaxPath))
	for name, args := range map[string][]any{
		"a long path":        {[][]byte{long}, []string{}, []string{}},
		"a NUL":              {[][]byte{{'/', 0}}, []string{}, []string{}},
		"an odd package":     {[][]byte{}, []string{"a\nb"}, []string{}},
		"an unknown option":  {[][]byte{}, []string{}, []string{"fast"}},
		"an option of Fix":   {[][]byte{}, []string{}, []string{"unlabelled"}},
		"too many of a kind": {[][]byte{}, make([]string, maxWanted+1), []string{}},
	} {
		t.Run(name, func(t *testing.T) { p.refused("InvalidArgument", "Verify", args...) })
	}
}
