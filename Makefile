# Each command installs or builds what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
FEATURES := --features crash-points
# Tests mostly wait for other processes, so one more thread than there are cores.
THREADS := $(shell echo $$(( $$(nproc) + 1 )))

.PHONY: help demo test attacks unit generate lint deny bench demo-mutant clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: control-plane ## one access from request to revocation on a real API server (HOLD=1 keeps the cluster running)
	cargo build --quiet --bins --example demo $(FEATURES)
	target/debug/examples/demo $(if $(HOLD),--hold)

test: export CURFEW_AUDIT_DIR = $(CURDIR)/target/audit
test: control-plane ## all tests: unit, model checker, integration on a real API server, drift, rights, demo-mutant
	cargo build --workspace --bins $(FEATURES)
	rm -rf $(CURFEW_AUDIT_DIR)
	RUST_TEST_THREADS=$(THREADS) cargo test --workspace $(FEATURES)
	cargo test --test rights $(FEATURES) -- --nocapture
	hack/mutants/demo-must-fail

attacks: control-plane ## each attack with and without its protection; without it must succeed (90 minutes; ONLY='sweep gate' selects)
	hack/attacks/run $(ONLY)

unit: ## tests that need no API server
	cargo test --workspace --lib --bins

generate: ## generate CRDs, admission policies and RBAC from code
	cargo run --quiet --bin curfew -- generate

lint: ## check format, clippy without warnings, attack patches, dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	hack/attacks/run --check
	$(MAKE) --no-print-directory deny

deny: ## check licences, sources and bans of dependencies
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked --version '^0.20' cargo-deny
	cargo deny --all-features check bans licenses sources

bench: control-plane ## count API calls and ratios; the results are reproducible
	cargo build --quiet --bins --bench lifecycle $(FEATURES)
	cargo bench --quiet --profile dev --bench lifecycle $(FEATURES)

demo-mutant: control-plane ## run the demo against an operator that never revokes; it must fail
	hack/mutants/demo-must-fail

control-plane: ## build etcd, kube-apiserver, kube-controller-manager and kubectl, once
	@command -v cargo >/dev/null || { echo "needs Rust: https://rustup.rs"; exit 1; }
	@hack/control-plane/build >/dev/null

clean: ## remove build output; the control plane stays in its cache
	cargo clean
