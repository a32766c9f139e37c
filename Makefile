# cofre: build, test and run. `make help` lists what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
IMAGE ?= cofre:$(VERSION)

# Pinned, and built through the Go module proxy: what reads the code is as reproducible as what runs it.
GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := .tools/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint

# The suites whose short form goes far without the race detector, and a share as far with it (internal/longtest).
SUITES = Sequence|AFaultLeaves|HaveAnOrder|NoLie|RandomLies|NoHonestRace|WhateverTheWay|WhatTheWay|WhateverFails|FlippedByte|ComesBackAsItWas|AnswerIsLost

# Everything but the end-to-end suite, which runs after it: it measures memory and kills processes, and wants the machine.
PACKAGES = $$(go list ./... | grep -v '^cofre/e2e$$')
TEST_FLAGS ?=
# SQLite is C turned into Go. Its memory is none that the detector watches, and watching it all the same takes half as long again.
RACE = -race -gcflags='modernc.org/sqlite/lib=-race=false -d=checkptr=0'
E2E_FLAGS ?=
FUZZTIME ?= 10s
# Which fuzz targets, by a pattern of their names, and further flags of go test, as -parallel=1.
FUZZ ?= .
FUZZ_FLAGS ?=
# How long each test goes on in `make test-long` that could go on for ever.
LONG ?= 5m
LONG_TESTS ?= .
BENCH ?= .

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build and start `cofre dev`: S3 on 127.0.0.1:9000, no service needed (ARGS="--listen ...")
	@exec bin/cofre dev $(ARGS)

.PHONY: build
build: ## build bin/cofre: static, trimmed, version from git
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/cofre ./cmd/cofre

.PHONY: test
test: ## everything, against real PostgreSQL, Redis and Ceph RGW (started and stopped here), with the race detector
	@deploy/testenv/run "$$(mktemp -d "$${TMPDIR:-/tmp}/cofre-test.XXXXXX")" -- $(MAKE) --no-print-directory check

.PHONY: test-long
test-long: ## the suites that look for faults, for LONG (5m) each instead of seconds, and what they came to (LONG_TESTS=pattern)
	@deploy/testenv/run "$$(mktemp -d "$${TMPDIR:-/tmp}/cofre-test.XXXXXX")" -- $(MAKE) --no-print-directory check-long

.PHONY: check-long
check-long:
	@figures=$$(mktemp); export COFRE_TEST_LONG=$(LONG) COFRE_TEST_FIGURES="$$figures"; status=0; \
	go test $(RACE) -timeout 12h -run '$(LONG_TESTS)' $(TEST_FLAGS) $$(go list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... \
	  | awk '/ cofre\/internal\/longtest/ {print $$1}') || status=$$?; \
	deploy/testenv/figures "$$figures"; rm -f "$$figures"; exit $$status

.PHONY: check
check: ## the tests of `make test` against the services that the COFRE_TEST_* environment names
	go vet ./...
	@figures=$$(mktemp); export COFRE_TEST_FIGURES="$$figures"; status=0; \
	go test $(RACE) -timeout 45m $(TEST_FLAGS) $(PACKAGES) || status=$$?; \
	go test -timeout 30m $(TEST_FLAGS) -run '$(SUITES)' ./backup/ ./metadata/postgres/ ./proxy/ || status=$$?; \
	go test -timeout 45m $(E2E_FLAGS) ./e2e/ || status=$$?; \
	deploy/testenv/figures "$$figures"; rm -f "$$figures"; exit $$status
	@if command -v softhsm2-util >/dev/null && command -v "$$(go env CC)" >/dev/null; then $(MAKE) --no-print-directory test-pkcs11; \
	else echo 'no SoftHSM (softhsm2) or no C compiler: the PKCS#11 guard is not tested' >&2; fi

.PHONY: test-pkcs11
test-pkcs11: ## the PKCS#11 guard of the identity, with SoftHSM for an HSM (needs cgo and softhsm2)
	CGO_ENABLED=1 go vet -tags pkcs11 ./keys/kmsfile/ ./cmd/cofre/
	CGO_ENABLED=1 go test -race -tags pkcs11 -run PKCS11 ./keys/kmsfile/

.PHONY: test-short
test-short: ## tests that need no service and no patience
	go test -short $(TEST_FLAGS) $(PACKAGES)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## formatting, import order, the usual bugs, go.mod, shell scripts
	go mod tidy -diff
	$(GOLANGCI_LINT) run ./...
	@for script in .ci/run deploy/testenv/* deploy/compose/init deploy/compose/ceph/start; do bash -n "$$script"; done

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/$(@D) CGO_ENABLED=0 GOFLAGS= go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

.PHONY: conformance
conformance: build ## the public suite ceph/s3-tests straight at RGW and through cofre (S3TESTS=checkout ARGS="-k name")
	@test -n '$(S3TESTS)' || { echo 'S3TESTS=path of a checkout of https://github.com/ceph/s3-tests is needed' >&2; exit 2; }
	@deploy/conformance/run --suite '$(S3TESTS)' $(ARGS)

.PHONY: bench
bench: ## cofre beside the storage itself and beside nginx, one table (ARGS="-quick", "-rows pattern"; docs/PERFORMANCE.md)
	@deploy/testenv/run "$$(mktemp -d "$${TMPDIR:-/tmp}/cofre-bench.XXXXXX")" -- go run ./bench $(ARGS)

.PHONY: microbench
microbench: ## microbenchmarks (BENCH=pattern)
	go test -run '^$$' -bench '$(BENCH)' -benchmem $(PACKAGES)

.PHONY: fuzz
fuzz: ## every fuzz target in turn, FUZZTIME (10s) each; fails at the end if any found something, or has no seeds (FUZZ=pattern)
	@findings=""; count=0; \
	for package in $(PACKAGES); do \
	  for target in $$(go test -list '^Fuzz' "$$package" | grep -E '^Fuzz' | grep -E '$(FUZZ)' || true); do \
	    count=$$((count + 1)); echo "$$package $$target"; \
	    seeds=$$(go test -count=1 -run "^$$target\$$" -v "$$package" | grep -cE "^ +--- (PASS|SKIP): $$target/" || true); \
	    if [ "$$seeds" -eq 0 ]; then findings+="$$package $$target has no seeds that pass"$$'\n'; continue; fi; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $(FUZZ_FLAGS) "$$package" || findings+="$$package $$target"$$'\n'; \
	  done; \
	done; \
	[ "$$count" -gt 0 ] || { echo 'no fuzz target matches' >&2; exit 1; }; \
	if [ -n "$$findings" ]; then printf '\nfindings; inputs are in testdata/fuzz of the package, to be committed with the fix:\n%s' "$$findings" >&2; exit 1; fi; \
	echo "$$count fuzz targets, nothing found"

.PHONY: image
image: ## container image (IMAGE=name:tag)
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: clean
clean: ## remove what the targets above made, but not the data of `make run`
	rm -rf bin .tools e2e/testdata/js/node_modules
