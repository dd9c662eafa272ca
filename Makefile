# `make` prints what there is. Nothing here does more than the command behind
# it: whoever has no make runs that.

GO ?= go
FUZZTIME ?= 1m
TOOL = $(GO) tool -modfile=tools.mod

.DEFAULT_GOAL := help
.PHONY: help build demo test test-race e2e fuzz lint fmt cover image bench bench-codecs bench-go soak check vuln

help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the static binary into bin/sluice
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/sluice ./cmd/sluice

demo: ## the whole product in one terminal, no root
	$(GO) run ./cmd/sluice demo

check: ## everything that CI checks, cheap things first
	./test/run

test: ## unit tests, without the race detector
	$(GO) test ./...

test-race: ## every test with the race detector, as CI runs them
	./test/run tools test

e2e: ## real redirects, real traffic, in network namespaces; needs root
	TESTS='./test/...' ./test/run tools test

fuzz: ## every fuzz target for FUZZTIME (1m)
	FUZZTIME=$(FUZZTIME) ./test/run fuzz

lint: ## go vet and golangci-lint
	./test/run vet lint

fmt: ## format the code
	$(TOOL) gofumpt -w $$(git ls-files '*.go')

cover: ## coverage of the tests by package, and cover.html
	mkdir -p bin
	$(GO) test -coverpkg=./... -coverprofile=bin/cover.out ./...
	$(GO) tool cover -html=bin/cover.out -o bin/cover.html

image: ## build the container image with buildah; needs root
	./test/image/build sluice

bench: ## Sluice beside nginx, HAProxy and ReverseProxy, twelve minutes; see BENCHMARKS.md
	./test/bench/peers
	$(GO) run ./test/bench $(BENCH)

bench-codecs: ## codecs and rules beside the usual libraries, a minute or two; see BENCHMARKS.md
	$(GO) run ./test/bench -codecs -for 100ms $(BENCH)

bench-go: ## the benchmarks of single functions, to be compared with benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count 5 ./...

soak: ## mixed load with faults, reloads and drains for SOAK (20s; try 1h)
	SOAK=$(SOAK) ./test/run soak

vuln: ## known vulnerabilities in what is linked
	$(TOOL) govulncheck ./...
