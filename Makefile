# Everything that is done with this repository. `make help` explains.
# Needs Go, git and GNU make; `make test` installs with apt what it lacks.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VERSION := $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null || echo v0.0.0-g$$(git describe --always --dirty 2>/dev/null || echo unknown))
TOOL     = go tool -modfile=tools/go.mod

# How a command is built to be used, here and everywhere: static, stripped, and
# with nothing in it of the place where it was built.
BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

# The plugin is started for each kubectl, and speaks HTTP/1.1 alone. Without the
# other protocol, and with a TLS whose messages are not inlined into each other,
# it is half a megabyte smaller and starts sooner; a handshake takes as long as
# before. tegata, which runs for months, is built with neither.
SMALL = -tags nethttpomithttp2 -gcflags=crypto/tls=-l -gcflags=crypto/x509=-l

# Where build puts the commands, and where release puts what it makes.
OUT  = bin/
DIST = dist

# What a release is built for.
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# Only these need a control plane or a browser (a house rule keeps it so).
SLOW = ./internal/kubetest/... ./test/...
FAST = $(shell go list ./... | grep -vE '/internal/kubetest(/|$$)|/test(/|$$)')

# The folders of this module whose tests have functions of the kind $(1).
having = $(shell grep -rlE '^func $(1)[A-Z]' --include='*_test.go' --exclude-dir=controlplane . | xargs -r -n1 dirname | sort -u)

.PHONY: help
help: ## Say what each target does
	@echo 'usage: make TARGET'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "\n  %-8s %s\n", $$1, $$2 } \
		/^## / { printf "           %s\n", substr($$0, 4) }' Makefile

.PHONY: build
build: plugin ## Build the commands into bin/: static, stripped, with their version
	$(BUILD) -o $(OUT) $(filter-out ./cmd/kubectl-oidc_login,$(wildcard ./cmd/*))

.PHONY: plugin
plugin:
	$(BUILD) $(SMALL) -o $(OUT) ./cmd/kubectl-oidc_login

.PHONY: demo
demo: ## Log in to a real API server through Tegata, on this machine
## The first time, the control plane is built, which takes minutes.
## make demo BROWSER=none logs in by itself. Ctrl-C takes everything down.
	go run ./test/demo

# BROWSER needs no line here: make hands the variables of its command line and
# of its environment to each recipe.

.PHONY: test
test: needs check slow ## Run everything: make check, then real control plane and browser
## Installs with apt what is missing of what tools/needs.sh names.

.PHONY: check
check: format lint generated unit cross ## What to run before a commit: format, linters, house rules, fast tests
## Needs no control plane and no browser.

.PHONY: bench
bench: ## Run the benchmarks, keep them in bench/latest.txt, compare with the budgets
	@mkdir -p bench
	go test -run '^$$' -bench . -p 1 -timeout 30m $(call having,Benchmark) | go run ./test/budgets | tee bench/latest.txt

# How long the soak takes on each storage.
SOAK ?= 10m

.PHONY: soak
soak: ## Load the provider for 10 minutes on each storage: memory and latency must stay
## make soak SOAK=1m is shorter. Below 50s nothing is compared.
	SOAK=$(SOAK) go test -count=1 -v -run '^TestSoak$$' -timeout 0 ./test/e2e

.PHONY: fuzz
fuzz: ## Run each fuzz target for 10 seconds
	@grep -rHoE '^func Fuzz\w+' --include='*_test.go' --exclude-dir=controlplane . | while IFS=: read -r file found; do \
		name=$${found#func }; \
		echo "$$name in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime 10s "$$(dirname "$$file")"; \
	done

.PHONY: release
release: ## Build what a release consists of into dist/; nothing is published
## Archives for six platforms, their checksums, and a manifest for Krew: the
## same bytes each time. CONTRIBUTING.md says how a release is made.
	@rm -rf $(DIST)
	@for platform in $(PLATFORMS); do \
		echo "building for $$platform"; \
		env -u GOFLAGS -u GOEXPERIMENT -u GOAMD64 -u GOARM64 GOOS=$${platform%/*} GOARCH=$${platform#*/} \
			$(MAKE) --silent build OUT=$(DIST)/build/$$platform/; \
	done
	go -C tools run ./release -version '$(VERSION)' -time "$$(git log -1 --format=%ct)" '$(abspath $(DIST))'

.PHONY: clean
clean: ## Remove what was built here; the control plane in the user's cache stays
	rm -rf bin dist bench/latest.*

# The parts of check and test. Each runs once, whichever of the two is asked for.

.PHONY: needs
needs:
	@tools/needs.sh

.PHONY: format
format:
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$unformatted" ]; then \
		printf '%s\n' "$$unformatted" 'not formatted; run: $(TOOL) gofumpt -w .' >&2; exit 1; \
	fi

.PHONY: lint
lint:
	go vet ./...
	$(TOOL) staticcheck ./...
	go -C tools vet ./...
	go -C tools tool staticcheck ./...
	go -C tools mod verify

# Golden files are compared by the tests that own them. What go generate
# writes must not differ from what lies here.
.PHONY: generated
generated:
	@state() { git diff HEAD 2>/dev/null; git ls-files --others --exclude-standard -z 2>/dev/null | xargs -0r sha256sum; }; \
	before=$$(state | sha256sum); go generate ./...; \
	if [ "$$before" != "$$(state | sha256sum)" ]; then \
		echo 'generated files were out of date: look at what changed and commit it' >&2; exit 1; \
	fi

.PHONY: unit
unit:
	go test -race -timeout 10m $(FAST)
	go -C tools test ./...

# Everything a release is built for compiles and links, and on each system the
# code that only it compiles is looked at.
.PHONY: cross
cross:
	@for platform in $(PLATFORMS); do \
		export GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		echo "building for $$platform"; \
		$(MAKE) --silent build OUT=/dev/null; \
		case $$platform in darwin/arm64 | windows/amd64) go vet ./cmd/... ./internal/... ;; esac; \
	done

# One package at a time, talking: a run of minutes shows how far it is.
# -count=1: these build and run the commands, which the test cache does not
# see. vet has the flags of the control plane's build, so that it compiles nothing anew.
.PHONY: slow
slow:
	go test -race -count=1 -v -p 1 -timeout 30m $(SLOW)
	CGO_ENABLED=0 go -C test/controlplane vet -trimpath ./...
