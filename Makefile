# One command for each thing. Everything that is needed is installed or built by the command that needs it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
FEATURES := --features crash-points,simulated,aws

.PHONY: help demo demo-aws demo-pci test chart-test gitops gitops-test docs docs-test attacks soak upgrade-test image reproduce release-lint unit generate texts lint deny bench flood scale demo-mutant clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: control-plane ## the main job on a real API server, and MFA, extension and break-glass, in two minutes (HOLD=1 keeps the cluster up)
	cargo build --quiet --workspace --bins --example demo $(FEATURES)
	target/debug/examples/demo $(if $(HOLD),--hold)

demo-aws: control-plane emulators ## access to an AWS account, on an emulator that enforces IAM, in a minute
	cargo build --quiet --bins --example demo-aws $(FEATURES)
	target/debug/examples/demo-aws

demo-pci: control-plane ## unused power: the score of a cluster and of an example AWS account, findings, the least role, the report (a minute)
	cargo build --quiet --workspace --bins --example demo-pci $(FEATURES)
	target/debug/examples/demo-pci

test: control-plane emulators ## every test: the rules and their model, the operator on a real API server, drift, rights, the demo that must fail
	hack/test

chart-test: control-plane oldest-control-plane helm ## the chart: lint, values, alerts, dashboards, schemas and a linter of manifests; installed, upgraded and uninstalled with live grants on a real control plane, and used on the oldest one (six minutes)
	cargo build --quiet --workspace --bins $(FEATURES)
	cargo test --quiet --workspace $(FEATURES) --test chart -- --nocapture
	promtool=$$(hack/promtool/build) && $$promtool check rules charts/curfew/alerts.yaml charts/curfew/analytics-alerts.yaml && \
	  $$promtool test rules tests/chart/alerts.test.yaml tests/chart/analytics-alerts.test.yaml target/dashboards.test.yaml
	dashboards=$$(hack/dashboards/build) && $$dashboards charts/curfew/dashboards/*.json
	hack/manifests/check

gitops: ## gitops/argocd/argocd-cm.yaml from the Lua files
	@gitops=$$(hack/gitops/build) && $$gitops generate

gitops-test: ## health checks and actions for Argo CD, health expressions for Flux, kstatus: as these run them (a second, after a build)
	@gitops=$$(hack/gitops/build) && $$gitops test

docs: ## the pages as a site, in target/docs/
	hack/docs/build

docs-test: docs ## the site: every link and anchor leads somewhere, nothing is loaded from another host (make test has the manifests and commands)
	hack/docs/check
	hack/docs/links target/docs

attacks: control-plane emulators ## each attack with its protection, and without: then it must succeed (half an hour; ONLY='sweep admission' for some)
	hack/attacks/run $(ONLY)

soak: control-plane ## the previous commit's operator beside this one, both ways, with live grants (six minutes; FROM=ref, ROUNDS=n, SEED=n)
	hack/soak/run

upgrade-test: control-plane helm ## the previous commit's release upgraded to this one by helm and rolled back, with live grants (six minutes, and the build of the other version; FROM=ref)
	RELEASE=1 hack/soak/run

image: ## the container image for amd64 and arm64 without an engine, checked: target/dist/curfew-image.tar (ARCH=amd64: that alone)
	hack/release/build $(ARCH)
	hack/image/build $(ARCH)
	hack/image/check

reproduce: ## two builds of the programs of a release, in two directories: the same bytes (ARCH=amd64: that alone)
	hack/release/reproduce $(ARCH)

release-lint: helm ## workflows, Dockerfile, shell scripts; how the image is written; archives, krew's manifest and chart of a release (ten seconds)
	hack/release/lint
	hack/image/test
	hack/release/test

unit: ## the fast ones: no API server
	cargo test --workspace --lib --bins

generate: ## CRDs, admission policies, RBAC and workloads from code: crds/, deploy/ and the generated parts of charts/curfew/
	cargo run --quiet --bin curfew -- generate

texts: ## the texts that are stored for review (help, messages, reports, metrics, spans), written again: then read `git diff`
	UPDATE=1 cargo test --quiet --workspace $(FEATURES) --bin curfew --test messages --test help --test cli --test rightsize_cli --test live
	UPDATE=1 cargo test --quiet $(FEATURES) --lib traces::life

lint: release-lint ## words, module graph, names in docs, workflows and scripts, format, clippy with warnings denied (test features, and as shipped), licences and sources
	hack/lint/words
	hack/lint/modules --check
	hack/lint/features --check
	hack/docs/check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	cargo clippy --workspace --lib --bins -- -D warnings
	hack/attacks/run --check
	$(MAKE) --no-print-directory deny

deny: ## licences, sources and bans of dependencies
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked --version '^0.20' cargo-deny
	cargo deny --all-features check bans licenses sources

bench: control-plane emulators ## counts and ratios, each reproducible (CURFEW_BIN: another operator, as of cargo build --release)
	cargo build --quiet --bins --benches $(FEATURES)
	cargo bench --quiet --profile dev --bench activation $(FEATURES)
	cargo bench --quiet --profile dev --bench lifecycle $(FEATURES)
	cargo bench --quiet --profile dev --bench mass_expiry $(FEATURES)
	cargo bench --quiet --profile dev --bench rest $(FEATURES)
	cargo test --quiet $(FEATURES) --test aws -- --ignored --nocapture
	cargo bench --quiet -p curfew-analytics --no-default-features --bench pci
	cargo bench --quiet -p curfew-analytics --no-default-features --bench cloudtrail
	cargo bench --quiet -p curfew-analytics --no-default-features --bench store
	cargo bench --quiet -p curfew-analytics --no-default-features --bench rightsize

flood: control-plane ## 20,000 junk decisions and 5,000 large requests while 50 grants end: how late, and how much memory (a quarter of an hour)
	cargo build --quiet --bins --bench flood $(FEATURES)
	cargo bench --quiet --profile dev --bench flood $(FEATURES)

scale: control-plane ## the operator with ten grants, and with 10,000 live ones, 100,000 ended requests and 10,000 decisions (a quarter of an hour)
	cargo build --quiet --bins --bench scale $(FEATURES)
	cargo bench --quiet --profile dev --bench scale $(FEATURES)

demo-mutant: control-plane ## the demo against an operator that never revokes; it must fail
	hack/mutants/demo-must-fail

control-plane: ## etcd, kube-apiserver, kube-controller-manager and kubectl, built once
	@command -v cargo >/dev/null || { echo "needs Rust: https://rustup.rs"; exit 1; }
	@hack/control-plane/build >/dev/null

oldest-control-plane: ## the same of the oldest Kubernetes that Curfew supports, built once
	@hack/control-plane/build --oldest >/dev/null

helm: ## helm, built once
	@hack/helm/build >/dev/null

emulators: ## MiniStack and moto, which stand for AWS in tests, installed once
	@hack/emulators/build >/dev/null

clean: ## what was built here; the control plane stays in its cache
	cargo clean
