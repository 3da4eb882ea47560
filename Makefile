# Everything that is done with this repository. `make help` explains.
# Needs Go, git and GNU make; `make test` installs with apt what it lacks.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS = -s -w -X main.version=$(VERSION)
TOOL    = go tool -modfile=tools/go.mod

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
build: ## Build the commands into bin/: static, stripped, with their version
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: demo
demo: ## Log in to a real API server through Tegata, on this machine
## The first time, the control plane is built, which takes minutes.
## make demo BROWSER=none logs in by itself. Ctrl-C takes everything down.
	go run ./test/demo

# BROWSER needs no line here: make hands the variables of its command line and
# of its environment to each recipe.

.PHONY: test
test: needs check slow ## Run everything: make check, then real control plane and browser
## Installs with apt what is missing: Chromium, and a C compiler for -race.

.PHONY: check
check: format lint generated unit ## What to run before a commit: format, linters, house rules, fast tests
## Needs no control plane and no browser.

.PHONY: bench
bench: ## Run the benchmarks, keep them in bench/latest.txt, compare with the budgets
	@mkdir -p bench
	go test -run '^$$' -bench . -p 1 -timeout 30m $(call having,Benchmark) | go run ./test/budgets | tee bench/latest.txt

.PHONY: fuzz
fuzz: ## Run each fuzz target for 10 seconds
	@grep -rHoE '^func Fuzz\w+' --include='*_test.go' --exclude-dir=controlplane . | while IFS=: read -r file found; do \
		name=$${found#func }; \
		echo "$$name in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime 10s "$$(dirname "$$file")"; \
	done

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

# One package at a time, talking: a run of minutes shows how far it is.
# -count=1: these build and run the commands, which the test cache does not
# see. vet has the flags of the control plane's build, so that it compiles nothing anew.
.PHONY: slow
slow:
	go test -race -count=1 -v -p 1 -timeout 30m $(SLOW)
	CGO_ENABLED=0 go -C test/controlplane vet -trimpath ./...
