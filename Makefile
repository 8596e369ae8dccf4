# Everything that is done with this repository. `make` alone lists it.

GO       ?= go
FUZZTIME ?= 30s

# FuzzCrossing makes a call of each input, a hundred a second: it is given a time of its own where FUZZTIME counts inputs.
FUZZTIME_CROSSING ?= $(FUZZTIME)

# Debian 12's clang, which made the programs of media/kernel.
GENERATED_BY ?= 14

.DEFAULT_GOAL := help
.PHONY: help demo test check fmt vet lint bench bench-sip bench-media attack soak vuln sbom fuzz fuzz-targets generate generated build

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a hand-off by each of the three methods, in each of the three deployments, on loopback, with its ladder
	$(GO) run ./cmd/handoff demo
	$(GO) run ./cmd/handoff demo --deployment b --story fallback
	$(GO) run ./cmd/handoff demo --deployment c

test: ## all tests, with the race detector, in random order; then without it those that it would mislead
	$(GO) test -race -shuffle=on -parallel 8 -timeout 20m ./...
	$(GO) test -run 'Allocates?Nothing$$' ./media/srtp ./media/splice ./media/lane
	$(GO) test -run '^TestMediaUnderLoad$$' ./cmd/handoff

check: fmt vet lint test ## what must hold before a commit: fmt, vet, lint, test

fmt: ## name the files that gofmt would change
	@files="$$(gofmt -l .)"; test -z "$$files" || { printf 'gofmt would change:\n%s\n' "$$files"; exit 1; }

vet: ## go vet
	$(GO) vet ./...

lint: ## staticcheck, as pinned in go.mod
	$(GO) tool staticcheck ./...

bench: ## all benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

# What bench-sip does, in seconds and calls a second; about ten minutes as it stands.
SIP_RATE    ?= 2000
SIP_SECONDS ?= 8
SIP_WARM    ?= 10
SIP_ROUNDS  ?= 3
SIP_STEPS   ?= 2500,3000,3500,4000,4500
SIP_HELD    ?= 2000
SIP_OUT     ?= bench-sip.out

bench-sip: ## calls through SIPp, the edge beside Kamailio, on one core each in turn; needs sip-tester and kamailio
	CI=true $(GO) test -v -count 1 -timeout 15m -run '^TestCallsUnderLoad$$' ./cmd/handoff -args -sip.rate $(SIP_RATE) \
		-sip.seconds $(SIP_SECONDS) -sip.warm $(SIP_WARM) -sip.rounds $(SIP_ROUNDS) -sip.steps $(SIP_STEPS) -sip.held $(SIP_HELD) -sip.out $(abspath $(SIP_OUT))

# What bench-media does; about ten minutes as it stands.
MEDIA_ROUNDS  ?= 10
MEDIA_SECONDS ?= 3
MEDIA_OUT     ?= bench-media.out

bench-media: ## media of 200 and 500 calls, every path of the edge beside rtpengine, in turns; needs root, rtpengine-daemon and iproute2
	CI=true $(GO) test -v -count 1 -timeout 40m -run '^TestMediaUnderLoad$$' ./cmd/handoff -args -media.rounds $(MEDIA_ROUNDS) \
		-media.seconds $(MEDIA_SECONDS) -media.out $(abspath $(MEDIA_OUT))

# What attack writes; ten minutes or so.
ATTACK_OUT ?= attack.out

attack: ## all attacks at their full size, and what came of each; as root it tries every media path
	$(GO) test -count 1 -timeout 60m -run '^TestAttacks$$' ./cmd/handoff -args -attack -attack.out $(abspath $(ATTACK_OUT)); \
		status=$$?; cat $(ATTACK_OUT); exit $$status

# How long soak goes on, and what it writes.
SOAK_MINUTES ?= 10
SOAK_OUT     ?= soak.out

soak: ## 5 calls a second, every third transferred, for SOAK_MINUTES (10): memory, goroutines, descriptors and ports stay flat
	$(GO) test -count 1 -timeout 24h -run '^TestSoak$$' ./cmd/handoff -args -soak.minutes $(SOAK_MINUTES) -soak.out $(abspath $(SOAK_OUT)); \
		status=$$?; cat $(SOAK_OUT); exit $$status

vuln: ## govulncheck, as pinned in go.mod; needs vuln.go.dev, or a copy of its database in GOVULNDB
	$(GO) tool govulncheck ./...

SBOM_OUT ?= handoff.cdx.json

sbom: build ## what bin/handoff is made of, as CycloneDX
	bin/handoff version --sbom > $(SBOM_OUT)

fuzz: ## every fuzz target for FUZZTIME (30s)
	@$(MAKE) --no-print-directory fuzz-targets | while read -r package target; do \
		echo "fuzz $$package $$target"; \
		case "$$target" in FuzzCrossing) time=$(FUZZTIME_CROSSING);; *) time=$(FUZZTIME);; esac; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $$time -fuzzminimizetime 100x "$$package" </dev/null || exit 1; \
	done

fuzz-targets: ## list the fuzz targets
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's|/[^/]*:func | |' | sort

generate: ## go generate: the kernel path's programs from their C; needs clang, llvm, libbpf-dev
	$(GO) generate ./...

# Another compiler makes other code that does the same, so only the one that made what is committed can tell.
generated: ## what generate makes is what is committed, if clang is of version GENERATED_BY
	@clang --version | grep -q 'version $(GENERATED_BY)\.' || { echo "generated: not checked, clang is not $(GENERATED_BY)"; exit 0; }; \
		before="$$(sha256sum media/kernel/relay_bpfel.*)"; $(MAKE) --no-print-directory generate && \
		test "$$before" = "$$(sha256sum media/kernel/relay_bpfel.*)" || { echo "media/kernel: run make generate and commit"; exit 1; }

build: ## bin/handoff
	$(GO) build -trimpath -o bin/handoff ./cmd/handoff
