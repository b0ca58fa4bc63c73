// SPDX-License-Identifier: Apache-2.0

package nevra_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/nevra"
)

func TestVercmp(t *testing.T) {
	// Each row is in rpm's order; what is joined by " = " compares as equal.
	for _, row := range [][]string{
		{"1", "2", "10", "0100"},
		{"", "0 = 00 = 000", "0.0", "1 = 01 = 1. = .1 = -1"},
		{"1.0 = 1_0 = 1-0 = 1..0 = 1+0 = 01.000 = 1.0.", "1.0a", "1.0.1", "1.1"},
		{"99999999999999999999", "100000000000000000000 = 00100000000000000000000"},
		{"1~~", "1~", "1~a", "1~rc1", "1~rc2", "1~1", "1", "1^", "1^a", "1^1", "1^20240101", "1a", "1.0"},
		{"1~rc1~git", "1~rc1", "1~rc1^git"},
		{"1^git~1", "1^git", "1^git^", "1^git1"},
		{"~~", "~", " = - = +", "^", "^^", "a", "0"},
		{"A", "Z", "a", "aa1 = aa.1 = aa01", "b", "z", "0a"},
		{"1.fc", "1.1fc", "1.2"},
		{"alpha", "beta", "1alpha", "1beta", "2"},
		{"1.5", "1.5a1 = 1.5a.1 = 1.5.a1", "1.5a2", "1.5b1", "1.5.1"},
		{"1é = 1ü = 1", "1éa = 1a", "1é2 = 1.2"},
		{"5.16.0-rc1 = 5.16.0.rc.1", "5.16.0.0"},
	} {
		rank := map[string]int{}
		for i, equal := range row {
			for _, v := range strings.Split(equal, " = ") {
				rank[v] = i
			}
		}
		for a, i := range rank {
			for b, j := range rank {
				if got, want := nevra.Vercmp(a, b), sign(i-j); got != want {
					t.Errorf("Vercmp(%q, %q) = %d, want %d", a, b, got, want)
				}
			}
		}
	}
}

func sign(n int) int { return min(max(n, -1), 1) }

func TestCompare(t *testing.T) {
	e := func(epoch uint32, version, release string) nevra.EVR {
		return nevra.EVR{Epoch: epoch, Version: version, Release: release}
	}
	order := []nevra.EVR{
		{},
		e(0, "1~rc1", "9"), e(0, "1", "1~bp"), e(0, "1", "1"), e(0, "1", "1.1"), e(0, "1", "10"), e(0, "1.0", "1"), e(0, "20", "1"),
		e(1, "0.1", "1"), e(1, "0.2", "1"), e(9, "0", "0"), e(10, "0", "0"), e(1<<32-1, "0", "0"),
	}
	for i, a := range order {
		for j, b := range order {
			if got, want := nevra.Compare(a, b), sign(i-j); got != want {
				t.Errorf("Compare(%v, %v) = %d, want %d", a, b, got, want)
			}
		}
	}
	if nevra.Compare(e(0, "1.0", "01"), e(0, "1_0", "1")) != 0 {
		t.Error("1.0-01 and 1_0-1 differ")
	}
}

// versionBytes is what generated versions are made of: mostly what rpm gives a
// meaning to, some bytes that are letters in other locales.
const versionBytes = "000112345679abrczAZ..._+~~^^-\x80\xc3\xa9\xff"

// generate returns a version and, often, one close to it.
func generate(r *rand.Rand) (a, b string) {
	random := func() string {
		v := make([]byte, r.IntN(9))
		for i := range v {
			v[i] = versionBytes[r.IntN(len(versionBytes))]
		}
		return string(v)
	}
	a = random()
	if r.IntN(4) == 0 {
		return a, random()
	}
	at := r.IntN(len(a) + 1)
	return a, a[:at] + string(versionBytes[r.IntN(len(versionBytes))]) + a[min(len(a), at+r.IntN(2)):]
}

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("DIGESTD_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DIGESTD_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestVercmpIsAnOrder(t *testing.T) {
	r := newRand(t)
	for range 200_000 {
		a, b := generate(r)
		c, _ := generate(r)
		ab, ba := nevra.Vercmp(a, b), nevra.Vercmp(b, a)
		if ab != -ba {
			t.Fatalf("%q against %q is %d, and %d the other way", a, b, ab, ba)
		}
		if nevra.Vercmp(a, a) != 0 {
			t.Fatalf("%q differs from itself", a)
		}
		for _, p := range [][3]string{{a, b, c}, {b, c, a}, {c, a, b}} {
			xy, yz, xz := nevra.Vercmp(p[0], p[1]), nevra.Vercmp(p[1], p[2]), nevra.Vercmp(p[0], p[2])
			if xy <= 0 && yz <= 0 && (xz > 0 || xz == 0 && xy+yz != 0) {
				t.Fatalf("%q: %d %d, but %d over both", p, xy, yz, xz)
			}
		}
	}
}

// runLua returns what a script prints under rpm's Lua.
func runLua(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("rpm", "--eval", `%{lua:dofile("`+script+`")}`)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("rpm: %v\n%.2000s", err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// The rpm of this machine is the judge.
func TestVercmpAgainstRPM(t *testing.T) {
	const pairs = 100_000
	r := newRand(t)
	dir := t.TempDir()
	var lines strings.Builder
	versions := make([][2]string, pairs)
	for i := range versions {
		a, b := generate(r)
		versions[i] = [2]string{a, b}
		lines.WriteString(a + "\n" + b + "\n")
	}
	in, script := filepath.Join(dir, "pairs"), filepath.Join(dir, "compare.lua")
	const lua = `
local out = {}
local next = io.lines(arg_in)
for a in next do
	-- rpm.vercmp takes versions in full, and the last '-' for the release.
	local c = rpm.vercmp('0:' .. a .. '-1', '0:' .. next() .. '-1')
	out[#out+1] = c < 0 and "<" or c > 0 and ">" or "="
end
print(table.concat(out))
`
	for path, text := range map[string]string{in: lines.String(), script: "arg_in = '" + in + "'" + lua} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	judged := runLua(t, script)
	if len(judged) != pairs {
		t.Fatalf("rpm answered %d times: %.200s", len(judged), judged)
	}
	counts, differences := map[byte]int{}, 0
	for i, p := range versions {
		counts[judged[i]]++
		if got := "<=>"[nevra.Vercmp(p[0], p[1])+1]; got != judged[i] {
			if differences++; differences <= 10 {
				t.Errorf("%q %c %q, rpm says %c", p[0], got, p[1], judged[i])
			}
		}
	}
	if differences > 0 {
		t.Errorf("%d of %d pairs differ", differences, pairs)
	}
	if min(counts['<'], counts['='], counts['>']) < pairs/20 {
		t.Errorf("the pairs prove little: %v", counts)
	}
}

// rpm compares whole versions by labels; the epoch comes first.
func TestCompareAgainstRPM(t *testing.T) {
	r := newRand(t)
	var in strings.Builder
	var want []string
	for range 300 {
		v, w := generateEVR(r), generateEVR(r)
		if r.IntN(3) > 0 {
			w.Epoch = v.Epoch
			if r.IntN(2) == 0 {
				w.Version = v.Version
			}
		}
		in.WriteString("x(rpm.ver('" + v.String() + "'), rpm.ver('" + w.String() + "'))\n")
		want = append(want, string("<=>"[nevra.Compare(v, w)+1]))
	}
	script := filepath.Join(t.TempDir(), "compare.lua")
	const x = "local function x(a, b) print(a < b and '<' or a == b and '=' or '>') end\n"
	if err := os.WriteFile(script, []byte(x+in.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out := runLua(t, script)
	lines := strings.Split(in.String(), "\n")
	got := strings.Split(out, "")
	if len(got) != len(want) {
		t.Fatalf("rpm answered %d times: %.200s", len(got), out)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: %s, rpm says %s", lines[i], want[i], got[i])
		}
	}
}

func generateEVR(r *rand.Rand) nevra.EVR {
	part := func() string {
		const bytes = "012.ab~^+_"
		v := []byte{"0123ab"[r.IntN(6)]}
		for range r.IntN(4) {
			v = append(v, bytes[r.IntN(len(bytes))])
		}
		return string(v)
	}
	return nevra.EVR{Epoch: uint32(r.IntN(3)), Version: part(), Release: part()}
}

func BenchmarkVercmp(b *testing.B) {
	for b.Loop() {
		nevra.Vercmp("6.12.0-124.8.1.el10_1", "6.12.0-124.13.1.el10_1")
	}
}
