# SPDX-License-Identifier: Apache-2.0
# Needs Go and root; every target installs the other things it needs by itself.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
SEEDS ?= 10000
FIRST ?= 1

PREFIX ?= /usr
sysconfdir ?= /etc
bindir ?= $(PREFIX)/bin
sbindir ?= $(PREFIX)/sbin
unitdir ?= $(PREFIX)/lib/systemd/system
busdir ?= $(PREFIX)/share/dbus-1/system.d
busservicedir ?= $(PREFIX)/share/dbus-1/system-services
polkitdir ?= $(PREFIX)/share/polkit-1/actions
catalogdir ?= $(PREFIX)/lib/systemd/catalog
tmpfilesdir ?= $(PREFIX)/lib/tmpfiles.d
presetdir ?= $(PREFIX)/lib/systemd/system-preset
sysusersdir ?= $(PREFIX)/lib/sysusers.d
rulesdir ?= $(PREFIX)/share/polkit-1/rules.d
mandir ?= $(PREFIX)/share/man
compdir ?= $(PREFIX)/share
datadir ?= $(PREFIX)/share
libexecdir ?= $(PREFIX)/libexec
selinuxtype ?= targeted
selinuxdevel ?= /usr/share/selinux/devel
# dnf4dir=, dnf5dir=, zyppdir=, tukitdir= say where the plugins of these go; empty,
# nowhere; without them, where those of this machine look.

GO ?= go
export CGO_ENABLED ?= 0
# Tests and programs share what is compiled: with -trimpath, as programs are shipped.
export GOFLAGS += -buildvcs=false -trimpath
# FIPS=1 builds programs that contain the latest validated version of Go's cryptographic module
# and are in FIPS mode, see docs/fips.md.
ifneq ($(filter-out 0 no,$(FIPS)),)
export GOFIPS140 ?= certified
endif
module = github.com/digestd/digestd
scripts = .ci/run .ci/stage .ci/beside .ci/tests .ci/cover $(wildcard systemd/*.sh integration/*.sh integration/*/*.sh integration/*/*/*.sh)

# make does not hand what it exports to $(shell).
list = CGO_ENABLED=$(CGO_ENABLED) $(GO) list

# Packages whose tests are of one package, not of the whole.
units = $(shell $(list) -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep -v '^$(module)/integration')

# Packages whose own tests are to run most of them: all but those that serve tests.
covered = $(shell $(list) -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' ./... | grep -v -e '^$$' -e '^$(module)/integration' -e 'test$$')
COVER_FLOOR ?= 70

# Packages below the floor today. The list may only become shorter.
uncovered = kernel/guard/bpf

# Without debugging information test programs link in half the time, and linking is most of a run.
# lint vets.
testflags = -ldflags=-w -vet=off

# directory:name of every fuzz target.
fuzz_targets = $(shell grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | sed 's|/[^/]*:func |:|' | sort)

# Fuzz targets that make test leaves to make fuzz, because sqlite is compiled once more for them.
fuzz_slow = ./daemon/admin:% ./daemon/keysource:% ./rpmdb:%

help:
	@echo 'make build     bin/: digestd, digestctl, their helpers and the rpm plugin digestd.so'
	@echo '               FIPS=1 builds them with the validated cryptographic module'
	@echo 'make demo      shows all of it in a sandbox; KEEP=1 leaves that up'
	@echo 'make tutorial  bin/tutorial/: the packages and the key that docs/tutorial.md uses'
	@echo 'make test      everything that must hold, briefly fuzzed'
	@echo 'make test-vm   the tests in machines alone, and longer'
	@echo 'make test-fips what FIPS=1 builds, doing the main jobs'
	@echo 'make unit      tests that need neither root nor network'
	@echo 'make cover     coverage of each package by its own tests'
	@echo 'make cover-integration  the same of what integration tests run'
	@echo 'make sim       random histories against a model; SEEDS=$(SEEDS), FIRST=$(FIRST)'
	@echo 'make sim-mutants  mistakes put into the code, each of which that model must see'
	@echo 'make docs      writes the reference pages that are made from the code'
	@echo 'make lint      gofmt, go vet, staticcheck, deadcode, shellcheck, the plugin with all warnings and the analyzer'
	@echo 'make vulncheck known vulnerabilities in dependencies; needs a vulnerability database (GOVULNDB)'
	@echo 'make fuzz      every fuzz target for FUZZTIME=$(FUZZTIME)'
	@echo 'make bench     measures, and writes docs/performance.md; ROWS=why,restart prints these alone'
	@echo 'make install   below DESTDIR=, PREFIX=$(PREFIX)'
	@echo 'make selinux   bin/selinux/digestd.pp, the SELinux policy module; needs selinux-policy-devel'
	@echo 'make rpm       bin/rpm/: packages of what is committed; make srpm: its source package'
	@echo 'make dist      bin/dist/: archives of a release, with SBOMs and checksums'
	@echo 'make clean     removes what was built'

build: setup-build
	@$(MAKE) programs

# What build does where everything is there, as in a package's build.
programs: core
	$(GO) build -trimpath -ldflags '-s -w' -o bin/ ./cmd/digestd-hook
	$(GO) build -trimpath -ldflags '-s -w -X $(module)/daemon/api.Version=$(VERSION)' -o bin/ ./cmd/digestd-guard
	CGO_ENABLED=1 $(GO) build -trimpath -o bin/ ./cmd/digestd-pkcs11

# The programs that the demonstration runs.
core:
	$(GO) build -trimpath -ldflags '-X $(module)/daemon/api.Version=$(VERSION)' -o bin/ ./cmd/digestd ./cmd/digestctl
	@$(MAKE) -s -B -C hooks/rpm plugin=$(CURDIR)/bin/digestd.so

demo: setup-demo
	@$(MAKE) core
	@integration/demo.sh $(if $(filter-out 0 no,$(KEEP)),--keep)

tutorial: setup-demo
	@integration/tutorial.sh

bench: setup-test build
	@ROWS=$(ROWS) integration/bench/run.sh

# Tests of packages run with the race detector, tests of the whole with programs
# as they are shipped, which go test knows nothing of: a result it kept would be one
# of other programs. Machines take longest, and so begin. Fuzzing counts inputs: by time
# it fails on busy machines. Roots and machines are made while tests run that need none.
# Many tests of packages wait more than they compute: four packages at once keep two
# processors busy.
test:
	@.ci/stage setup integration/setup.sh programs
	@.ci/beside roots 'integration/setup.sh test' -- $(MAKE) --no-print-directory test-packages
	@.ci/stage integration env DIGESTD_TEST_ALL=1 .ci/tests integration './integration/vm ./integration/vm/guard ./integration/...' $(testflags) -count=1 -timeout 25m
	@.ci/stage fuzz $(MAKE) fuzz FUZZTIME=10000x fuzz_targets='$(filter-out $(fuzz_slow),$(fuzz_targets))'
	@.ci/listing bin/test/unit.json bin/test/integration.json

# What of test needs programs alone.
test-packages:
	@.ci/stage lint $(MAKE) lint
	@.ci/stage build $(MAKE) build
	@.ci/stage unit env CGO_ENABLED=1 DIGESTD_TEST_ALL=1 .ci/tests unit '$(units)' $(testflags) -p 4 -race -skip '^TestKnownHistories$$'
	@.ci/stage sim $(GO) test $(testflags) ./daemon -run 'TestHistories|TestKnownHistories' -sim.time 60s -sim.disk 150

# What machines show, all of it, and as long on each kernel.
test-vm:
	@integration/setup.sh test
	env DIGESTD_TEST_ALL=1 DIGESTD_TEST_VM=whole $(GO) test -count=1 -v -timeout 120m ./integration/vm/...

# The test runs in make test, too, with Go's current module; here with the validated one.
test-fips: setup-test
	GOFIPS140=certified $(GO) test -count=1 -timeout 30m ./integration/system -run TestFIPS

# Tests that need root are skipped where there is none.
unit:
	$(GO) test $(testflags) -p 4 $(units)

# Fails where a package is below COVER_FLOOR percent. Integration tests run the packages
# that are exempt. Run it as root: tests that need root count.
cover:
	@$(GO) test $(testflags) -cover $(covered) 2>&1 | .ci/cover $(COVER_FLOOR) $(uncovered)

# Counted apart: what integration tests run of each package, by programs that count it.
cover-integration: setup-test
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	GOCOVERDIR=$$dir $(GO) test -count=1 -timeout 30m ./integration/system ./integration/own ./integration/keys ./integration/deny ./integration/verify ./integration/neighbours && \
	$(GO) tool covdata percent -i=$$dir | sed 's|$(module)/||; s|coverage: ||; s| of statements||' | sort -k 2 -n

sim:
	$(GO) test ./daemon -run 'TestHistories$$' -v -timeout 0 -sim.first $(FIRST) -sim.seeds $(SEEDS)

sim-mutants:
	$(GO) test ./integration/mutants -v -timeout 0 -mutants.all

docs:
	$(GO) test ./daemon/bus -run TestDocs -update
	$(GO) test ./daemon/audit -run TestCatalog -update
	$(GO) test ./daemon/failpoint -run TestDocs -update
	$(GO) test ./cmd/digestctl -run 'TestManual$$|TestSchemas$$' -update
	$(GO) test ./cmd/digestctl/report -run TestPicture -update

# deadcode and staticcheck are built of the versions that integration/tools/go.mod names.
lint: setup-lint
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "not formatted:" $$unformatted >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags failpoint ./daemon/...
	CGO_ENABLED=1 $(GO) vet ./cmd/digestd-pkcs11
	@$(MAKE) -s -C hooks/rpm lint
	shellcheck -S warning $(scripts)
	$(GO) build -C integration/tools -o $(CURDIR)/bin/tools/ tool
	bin/tools/staticcheck -checks all ./...
	@dead=$$(bin/tools/deadcode -test ./...) && test -z "$$dead" || { echo "dead code:" $$dead >&2; exit 1; }

# Known vulnerabilities in what digestd calls, by the database that GOVULNDB names. Apart
# from lint: a green commit must stay green.
vulncheck: setup-lint
	$(GO) build -C integration/tools -o $(CURDIR)/bin/tools/ tool
	bin/tools/govulncheck ./...

# go test fuzzes one target at a time. Two run at once, because linking and starting a target
# uses one processor, and takes longer than a few inputs.
fuzz:
	@printf '%s\n' $(fuzz_targets) | xargs -P 2 -I '{}' sh -ec 'target={}; echo "$$target"; \
		$(GO) test $(testflags) $${target%%:*} -run "^\$$" -fuzz "^$${target##*:}\$$" -fuzztime $(FUZZTIME)'

install: build
	@$(MAKE) lay

# What install does with programs that are there.
lay:
	install -D -m 0755 bin/digestd $(DESTDIR)$(sbindir)/digestd
	install -D -m 0755 bin/digestd-guard $(DESTDIR)$(sbindir)/digestd-guard
	install -D -m 0755 bin/digestctl $(DESTDIR)$(bindir)/digestctl
	install -D -m 0755 bin/digestd-pkcs11 $(DESTDIR)$(PREFIX)/libexec/digestd/digestd-pkcs11
	install -D -m 0755 bin/digestd-hook $(DESTDIR)$(libexecdir)/digestd/digestd-hook
	@$(MAKE) -s -C hooks/rpm install plugin=$(CURDIR)/bin/digestd.so DESTDIR=$(DESTDIR)
	@$(MAKE) -s -C hooks/dnf4 install hook=$(libexecdir)/digestd/digestd-hook DESTDIR=$(DESTDIR) $(if $(filter-out undefined,$(origin dnf4dir)),dnfplugindir=$(dnf4dir))
	@$(MAKE) -s -C hooks/dnf5 install hook=$(libexecdir)/digestd/digestd-hook DESTDIR=$(DESTDIR) $(if $(filter-out undefined,$(origin dnf5dir)),actionsdir=$(dnf5dir))
	@$(MAKE) -s -C hooks/zypp install hook=$(libexecdir)/digestd/digestd-hook DESTDIR=$(DESTDIR) $(if $(filter-out undefined,$(origin zyppdir)),zyppdir=$(zyppdir))
	@$(MAKE) -s -C hooks/tukit install hook=$(libexecdir)/digestd/digestd-hook DESTDIR=$(DESTDIR) $(if $(filter-out undefined,$(origin tukitdir)),tukitdir=$(tukitdir))
	install -d -m 0755 $(DESTDIR)$(unitdir) $(DESTDIR)$(mandir)/man1 \
		$(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man8 $(addprefix $(DESTDIR)$(compdir)/,bash-completion/completions zsh/site-functions fish/vendor_completions.d) \
		$(addprefix $(DESTDIR)$(sysconfdir)/digestd/,digestd.conf.d keys.d revoked.d blacklist.d policy.d)
	for unit in digestd.service digestd.socket digestd-guard.service digestd-guard-check.service digestd-reconcile@.service digestd-verify.service digestd-verify.timer digestd-metrics.service digestd-metrics.timer; do \
		sed 's|/usr/sbin/|$(sbindir)/|;s|/usr/bin/|$(bindir)/|' systemd/$$unit >$(DESTDIR)$(unitdir)/$$unit || exit 1; done
	install -D -m 0644 systemd/tmpfiles.conf $(DESTDIR)$(tmpfilesdir)/digestd.conf
	install -D -m 0644 systemd/digestd.preset $(DESTDIR)$(presetdir)/85-digestd.preset
	install -D -m 0644 systemd/sysusers.conf $(DESTDIR)$(sysusersdir)/digestd.conf
	install -D -m 0644 systemd/org.digestd1.rules $(DESTDIR)$(rulesdir)/org.digestd1.rules
	install -D -m 0644 systemd/org.digestd1.conf $(DESTDIR)$(busdir)/org.digestd1.conf
	install -D -m 0644 systemd/org.digestd1.service $(DESTDIR)$(busservicedir)/org.digestd1.service
	install -D -m 0644 systemd/org.digestd1.policy $(DESTDIR)$(polkitdir)/org.digestd1.policy
	install -D -m 0644 systemd/digestd.catalog $(DESTDIR)$(catalogdir)/digestd.catalog
	test -e $(DESTDIR)$(sysconfdir)/digestd/digestd.conf || install -m 0644 systemd/digestd.conf $(DESTDIR)$(sysconfdir)/digestd/digestd.conf
	bin/digestctl man $(DESTDIR)$(mandir)/man1
	install -m 0644 docs/man/*.5 $(DESTDIR)$(mandir)/man5
	install -m 0644 docs/man/*.8 $(DESTDIR)$(mandir)/man8
	install -d -m 0755 $(DESTDIR)$(datadir)/digestd/schema
	install -m 0644 docs/schema/*.json $(DESTDIR)$(datadir)/digestd/schema
	bin/digestctl completion bash >$(DESTDIR)$(compdir)/bash-completion/completions/digestctl
	bin/digestctl completion zsh >$(DESTDIR)$(compdir)/zsh/site-functions/_digestctl
	bin/digestctl completion fish >$(DESTDIR)$(compdir)/fish/vendor_completions.d/digestctl.fish

# The SELinux policy module, built by the policy's own Makefile (selinux-policy-devel).
selinux:
	rm -rf bin/selinux
	install -D -m 0644 -t bin/selinux systemd/selinux/digestd.te systemd/selinux/digestd.fc systemd/selinux/digestd.if
	$(MAKE) -C bin/selinux -f $(selinuxdevel)/Makefile NAME=$(selinuxtype) digestd.pp

lay-selinux:
	install -d -m 0755 $(DESTDIR)$(PREFIX)/share/selinux/packages/$(selinuxtype)
	bzip2 -9c bin/selinux/digestd.pp >$(DESTDIR)$(PREFIX)/share/selinux/packages/$(selinuxtype)/digestd.pp.bz2
	install -D -m 0644 systemd/selinux/digestd.if $(DESTDIR)$(PREFIX)/share/selinux/devel/include/distributed/digestd.if

# Packages are those of a commit: between releases, newer by the number of commits.
rpm: setup-rpm
	@systemd/build-rpm.sh rpm

srpm: setup-rpm
	@systemd/build-rpm.sh srpm

# A release's files, the programs built twice and compared.
dist: setup-rpm
	@systemd/dist.sh

setup-%:
	@integration/setup.sh $*

clean:
	rm -rf bin
	@$(MAKE) -s -C hooks/rpm clean

.PHONY: help build programs core demo tutorial bench test test-packages test-vm test-fips unit cover cover-integration sim sim-mutants docs lint vulncheck fuzz install lay selinux lay-selinux rpm srpm dist clean
