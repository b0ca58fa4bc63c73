# SPDX-License-Identifier: Apache-2.0
# Needs Go and root; every target installs the other things it needs by itself.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s

PREFIX ?= /usr
sysconfdir ?= /etc
bindir ?= $(PREFIX)/bin
sbindir ?= $(PREFIX)/sbin
unitdir ?= $(PREFIX)/lib/systemd/system
busdir ?= $(PREFIX)/share/dbus-1/system.d
mandir ?= $(PREFIX)/share/man

GO ?= go
export CGO_ENABLED ?= 0
export GOFLAGS += -buildvcs=false
LDFLAGS_GO = -X github.com/digestd/digestd/daemon/api.Version=$(VERSION)
SCRIPTS = .ci/run .ci/stage $(wildcard integration/*.sh integration/*/*.sh)

# Packages that start goroutines, or that goroutines share: -race is for them.
RACE = ./digestlist/... ./rpmdb/... ./policy/... ./store/... ./kernel/... ./hooks/... ./daemon/...

help:
	@echo 'make build     bin/: digestd, digestctl and the rpm plugin digestd.so'
	@echo 'make demo      shows all of it in a sandbox; KEEP=1 leaves that up'
	@echo 'make test      everything that must hold, briefly fuzzed'
	@echo 'make lint      gofmt, go vet, the plugin with all warnings, shell syntax'
	@echo 'make fuzz      every fuzz target for FUZZTIME=$(FUZZTIME)'
	@echo 'make bench     measures, and writes docs/performance.md'
	@echo 'make install   below DESTDIR=, PREFIX=$(PREFIX)'
	@echo 'make clean     removes what was built'

build: setup-build
	$(GO) build -trimpath -ldflags '$(LDFLAGS_GO)' -o bin/ ./cmd/digestd ./cmd/digestctl
	@$(MAKE) -s -B -C hooks/rpm plugin=$(CURDIR)/bin/digestd.so

demo: setup-demo build
	@integration/demo.sh $(if $(filter-out 0 no,$(KEEP)),--keep)

bench: setup-test build
	@integration/bench/run.sh

test:
	@.ci/stage setup integration/setup.sh test
	@.ci/stage lint $(MAKE) lint
	@.ci/stage build $(MAKE) build
	@.ci/stage test $(GO) test ./...
	@.ci/stage race env CGO_ENABLED=1 $(GO) test -race $(RACE)
	@.ci/stage fuzz $(MAKE) fuzz FUZZTIME=5s

lint: setup-build
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "not formatted:" $$unformatted >&2; exit 1; }
	$(GO) vet ./...
	@$(MAKE) -s -C hooks/rpm lint
	@for script in $(SCRIPTS); do bash -n $$script || exit 1; done

# go test runs one fuzz target at a time.
fuzz:
	@grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | sed 's|/[^/]*:func | |' | sort | \
	while read -r dir name; do \
		echo "$$dir $$name" && $(GO) test $$dir -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) </dev/null || exit 1; \
	done

install: build
	install -D -m 0755 bin/digestd $(DESTDIR)$(sbindir)/digestd
	install -D -m 0755 bin/digestctl $(DESTDIR)$(bindir)/digestctl
	@$(MAKE) -s -C hooks/rpm install plugin=$(CURDIR)/bin/digestd.so DESTDIR=$(DESTDIR)
	install -d -m 0755 $(DESTDIR)$(unitdir) $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(sysconfdir)/digestd/digestd.conf.d $(DESTDIR)$(sysconfdir)/digestd/keys.d
	sed 's|/usr/sbin/|$(sbindir)/|' systemd/digestd.service >$(DESTDIR)$(unitdir)/digestd.service
	install -D -m 0644 systemd/org.digestd1.conf $(DESTDIR)$(busdir)/org.digestd1.conf
	test -e $(DESTDIR)$(sysconfdir)/digestd/digestd.conf || install -m 0644 systemd/digestd.conf $(DESTDIR)$(sysconfdir)/digestd/digestd.conf
	bin/digestctl man $(DESTDIR)$(mandir)/man1

setup-%:
	@integration/setup.sh $*

clean:
	rm -rf bin
	@$(MAKE) -s -C hooks/rpm clean

.PHONY: help build demo bench test lint fuzz install clean
