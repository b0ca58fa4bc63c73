// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"bufio"
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// module is the SELinux policy module, compiled against the policy of this machine.
type module struct {
	rules    []rule
	contexts []context
}

// rule is an allow rule of the module, with the policy's macros expanded.
type rule struct{ source, target, class, permissions []string }

// context is a line of the module's file contexts.
type context struct {
	path *regexp.Regexp
	kind string
}

// compile builds the module as make selinux does.
func compile(t *testing.T) module {
	t.Helper()
	dir := t.TempDir()
	command(t, "sh", "-c", `cp ../../systemd/selinux/digestd.* "$1" && make -C "$1" -f /usr/share/selinux/devel/Makefile NAME=targeted digestd.pp`, "sh", dir)
	if info, err := os.Stat(filepath.Join(dir, "digestd.pp")); err != nil || info.Size() < 10000 {
		t.Fatalf("the module was not packaged: %v, %v", info, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "tmp/digestd.tmp"))
	if err != nil {
		t.Fatal(err)
	}
	var m module
	text = regexp.MustCompile(`(?m)#.*$`).ReplaceAll(text, nil)
	for _, statement := range strings.Split(string(text), ";") {
		if at := strings.LastIndex(statement, "allow "); at >= 0 && !strings.Contains(statement[:at], "dont") {
			if r, ok := parseRule(statement[at+len("allow "):]); ok {
				m.rules = append(m.rules, r)
			}
		}
	}
	contexts, err := os.ReadFile("../../systemd/selinux/digestd.fc")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(contexts)) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) == "" {
			continue
		}
		fields := strings.Fields(line)
		kind := regexp.MustCompile(`^gen_context\(system_u:object_r:(\w+),s0\)$`).FindStringSubmatch(fields[len(fields)-1])
		if kind == nil {
			t.Fatalf("no context: %q", line)
		}
		m.contexts = append(m.contexts, context{regexp.MustCompile("^(?:" + fields[0] + ")$"), kind[1]})
	}
	if len(m.rules) < 100 || len(m.contexts) < 10 {
		t.Fatalf("the module has %d rules and %d contexts", len(m.rules), len(m.contexts))
	}
	return m
}

// parseRule reads "SOURCE TARGET:CLASS PERMISSIONS", each of which may be a set in braces.
func parseRule(text string) (r rule, ok bool) {
	words := bufio.NewScanner(strings.NewReader(strings.NewReplacer("{", " { ", "}", " } ", ":", " : ").Replace(text)))
	words.Split(bufio.ScanWords)
	var sets [][]string
	depth := 0
	for words.Scan() {
		switch w := words.Text(); {
		case w == "{":
			if depth++; depth == 1 {
				sets = append(sets, nil)
			}
		case w == "}":
			depth--
		case w == ":":
		case depth > 0:
			sets[len(sets)-1] = append(sets[len(sets)-1], w)
		default:
			sets = append(sets, []string{w})
		}
	}
	if len(sets) != 4 || depth != 0 {
		return r, false
	}
	return rule{sets[0], sets[1], sets[2], sets[3]}, true
}

// permissions are what the module allows source to do with target.
func (m module) permissions(source, target, class string) (all []string) {
	for _, r := range m.rules {
		if slices.Contains(r.source, source) && slices.Contains(r.class, class) &&
			(slices.Contains(r.target, target) || target == source && slices.Contains(r.target, "self")) {
			all = append(all, r.permissions...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// wants reports what of permissions the module does not allow.
func (m module) wants(t *testing.T, why, source, target, class string, permissions ...string) {
	t.Helper()
	got := m.permissions(source, target, class)
	for _, p := range permissions {
		if !slices.Contains(got, p) {
			t.Errorf("%s: %s may not %s a %s of type %s, only %v", why, source, p, class, target, got)
		}
	}
}

// label is the type that the module gives a path, "" for none. The last line that matches counts.
func (m module) label(path string) (kind string) {
	for _, c := range m.contexts {
		if c.path.MatchString(path) {
			kind = c.kind
		}
	}
	return kind
}

// unit is a service or socket, by its settings.
type unit map[string][]string

// readUnits reads our units, by name.
func readUnits(t *testing.T) map[string]unit {
	t.Helper()
	all := map[string]unit{}
	for _, pattern := range []string{"digestd*.service", "digestd*.socket"} {
		files, err := filepath.Glob(filepath.Join(units, pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			u := unit{}
			for line := range strings.Lines(string(data)) {
				if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
					u[key] = append(u[key], strings.Fields(value)...)
				}
			}
			all[filepath.Base(file)] = u
		}
	}
	return all
}

// domains are those that our programs run in, by the type of the program.
var domains = map[string]string{
	"digestd_exec_t":        "digestd_t",
	"digestd_guard_exec_t":  "digestd_guard_t",
	"digestd_pkcs11_exec_t": "digestd_pkcs11_t",
}

// TestSELinuxAllowsWhatUnitsGive: the module and the units confine the programs alike.
func TestSELinuxAllowsWhatUnitsGive(t *testing.T) {
	m := compile(t)
	given := map[string][]string{} // capabilities, by domain
	for name, u := range readUnits(t) {
		if strings.HasSuffix(name, ".socket") {
			continue
		}
		program := u["ExecStart"][0]
		domain := domains[m.label(program)]
		if program == "/usr/bin/digestctl" {
			if domain != "" {
				t.Errorf("digestctl, which its callers run, has the domain %s", domain)
			}
			continue
		}
		if domain == "" {
			t.Fatalf("%s starts %s, which has no domain", name, program)
		}
		if len(u["CapabilityBoundingSet"]) == 0 {
			t.Errorf("%s does not bound its capabilities", name)
		}
		for _, c := range u["CapabilityBoundingSet"] {
			given[domain] = append(given[domain], strings.ToLower(strings.TrimPrefix(c, "CAP_")))
		}
		m.wants(t, name+" has NoNewPrivileges=", "init_t", domain, "process2", "nnp_transition")
		for _, family := range u["RestrictAddressFamilies"] {
			switch family {
			case "AF_UNIX":
				m.wants(t, name, domain, domain, "unix_stream_socket", "create", "connect", "read", "write")
			case "AF_NETLINK":
				m.wants(t, name, domain, domain, "netlink_audit_socket", "create", "read", "write", "nlmsg_relay")
			default:
				t.Errorf("%s: nothing is known of %s", name, family)
			}
		}
		for setting, parent := range map[string]string{"RuntimeDirectory": "/run/", "StateDirectory": "/var/lib/"} {
			for _, dir := range u[setting] {
				kind := m.label(parent + dir)
				if kind != m.label(parent+dir+"/file") {
					t.Errorf("%s%s has the type %q, and a file in it another one", parent, dir, kind)
				}
				m.wants(t, name, "init_t", kind, "dir", "create", "setattr")
				m.wants(t, name, domain, kind, "dir", "add_name", "remove_name", "search")
				m.wants(t, name, domain, kind, "file", "create", "write", "unlink")
			}
		}
		for _, device := range u["DeviceAllow"] {
			if device == "char-tpm" {
				m.wants(t, name, domain, "tpm_device_t", "chr_file", "open", "read", "write")
			}
		}
		for _, dir := range u["ReadWritePaths"] {
			if dir == "/sys/fs/bpf" {
				m.wants(t, name, domain, "bpf_t", "dir", "add_name", "remove_name", "create")
				m.wants(t, name, domain, "bpf_t", "file", "create", "unlink")
				m.wants(t, name, domain, domain, "bpf", "prog_load", "map_create", "map_read", "map_write")
			}
		}
		for _, credential := range u["LoadCredential"] {
			_, file, _ := strings.Cut(credential, ":")
			m.wants(t, name, "init_t", m.label(file), "file", "open", "read")
		}
	}
	for _, domain := range slices.Sorted(maps.Values(domains)) {
		want := slices.Compact(slices.Sorted(slices.Values(given[domain])))
		got := slices.Sorted(slices.Values(slices.Concat(m.permissions(domain, domain, "capability"), m.permissions(domain, domain, "capability2"))))
		if !slices.Equal(got, want) {
			t.Errorf("%s has the capabilities %v; its units give it %v", domain, got, want)
		}
		for _, forbidden := range []string{"execmem", "execstack", "execheap", "setexec", "setcurrent", "dyntransition"} {
			if slices.Contains(m.permissions(domain, domain, "process"), forbidden) {
				t.Errorf("%s may %s", domain, forbidden)
			}
		}
		for _, class := range []string{"tcp_socket", "udp_socket", "rawip_socket", "packet_socket", "netlink_route_socket"} {
			if got := m.permissions(domain, domain, class); len(got) != 0 {
				t.Errorf("%s, which has no network, may %v with a %s", domain, got, class)
			}
		}
	}
	if len(given) != 2 {
		t.Errorf("units start these domains: %v", given)
	}
}

// TestSELinuxLetsOthersAsk: rpm reaches the socket that systemd makes for digestd, and
// everybody reads lists and asks on the bus. No rule lets digestd change a file that is not its own.
func TestSELinuxLetsOthersAsk(t *testing.T) {
	m := compile(t)
	for name, u := range readUnits(t) {
		for _, socket := range u["ListenStream"] {
			kind := m.label(socket)
			m.wants(t, name, "init_t", kind, "sock_file", "create", "unlink")
			m.wants(t, name, "init_t", "digestd_t", "unix_stream_socket", "create", "bind", "listen")
			m.wants(t, name, "rpm_t", kind, "sock_file", "write")
			m.wants(t, name, "rpm_t", kind, "dir", "search")
			m.wants(t, name, "rpm_t", "digestd_t", "unix_stream_socket", "connectto")
		}
	}
	m.wants(t, "the plugin labels files", "rpm_t", "file_type", "file", "setattr")
	m.wants(t, "digestd tells the guard of lists", "digestd_t", "digestd_guard_t", "unix_stream_socket", "connectto")
	m.wants(t, "digestd starts a token's module", "digestd_t", "digestd_pkcs11_t", "process", "transition")
	m.wants(t, "digestd starts a token's module", "digestd_t", "digestd_pkcs11_t", "process2", "nnp_transition")
	m.wants(t, "lists are public", "domain", "digestd_lists_t", "file", "open", "read")
	m.wants(t, "everybody may ask", "domain", "digestd_t", "dbus", "send_msg")
	m.wants(t, "digestd binds any file to a list", "digestd_t", "file_type", "file", "read", "setattr")
	m.wants(t, "the boolean digestd_write_images", "digestd_t", "var_lib_t", "dir", "create", "add_name")
	for _, forbidden := range []string{"write", "append", "create", "unlink", "rename", "execute", "relabelto"} {
		for _, domain := range domains {
			if slices.Contains(m.permissions(domain, "file_type", "file"), forbidden) {
				t.Errorf("%s may %s any file", domain, forbidden)
			}
		}
	}
}

// elsewhere are the places whose labels are those of the policy itself.
var elsewhere = regexp.MustCompile(`^/usr/(bin/digestctl$|share/|lib/(\.build-id|tmpfiles\.d|sysusers\.d|systemd/(catalog|system-preset)/|rpm/|rpm-plugins/|(zypp|tukit)(/plugins(/commit)?)?$|python3|x86_64-linux-gnu/rpm-plugins/)|lib64/rpm-plugins/)|^/etc/dnf/|^/var/lib/selinux/|^/usr/lib/digestd/`)

// labelled checks that the module labels each path of packages that is digestd's own.
func labelled(t *testing.T, packages []string) {
	t.Helper()
	m := compile(t)
	out, err := exec.Command("rpm", append([]string{"-qpl"}, packages...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]int{}
	for line := range bytes.Lines(out) {
		p := string(bytes.TrimSpace(line))
		kind := m.label(p)
		used[kind]++
		if kind == "" && !elsewhere.MatchString(p) {
			t.Errorf("%s has no label", p)
		}
		if strings.HasPrefix(p, "/usr/sbin/") && !strings.HasSuffix(kind, "_exec_t") || strings.Contains(p, "/systemd/system/") && kind != "digestd_unit_t" {
			t.Errorf("%s has the type %q", p, kind)
		}
	}
	// Files that only a running digestd has.
	for _, p := range []string{"/run/digestd/hook.sock", "/run/digestd-guard/guard.sock"} {
		used[m.label(p)]++
	}
	for _, c := range m.contexts {
		if used[c.kind] == 0 {
			t.Errorf("no path has the type %s of %v", c.kind, c.path)
		}
	}
	for _, want := range [][2]string{{"/usr/libexec/digestd/digestd-hook", "bin_t"}, {"/usr/libexec/digestd/digestd-pkcs11", "digestd_pkcs11_exec_t"}} {
		if got := m.label(want[0]); got != want[1] {
			t.Errorf("%s has the type %q", path.Base(want[0]), got)
		}
	}
}
