# The targets for people and CI. `make` lists them.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
export DEMO_ONCE DEMO_PORT
# Benchmarks measure release builds. Their short form measures nothing, and is built faster.
BENCH_PROFILE := $(if $(filter --short,$(BENCH)),dev,release)
BENCH_FOLDER := $(if $(filter --short,$(BENCH)),debug,release)
BENCH_WORKSPACE := --locked --quiet --manifest-path bench/Cargo.toml --target-dir $(TARGET)/bench

.PHONY: help demo release-tool release-drill test test-js bench-js node test-loom lint vectors sbom eif eif-container measure qemu test-image test-reproducible test-booted bench-image bench bench-verify \
  bench-crypto bench-store fuzz-smoke ci

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: rust ## the whole flow with a mock NSM, then a payment page to open; DEMO_ONCE=1 ends before the page, DEMO_PORT=N is its port
	$(CARGO) build --locked --workspace --bins
	@$(MAKE) --no-print-directory release-tool
	@$(TARGET)/debug/ok2cry-demo

release-tool: rust ## builds ok2cry-release without image building: target/release-light/debug/ok2cry-release
	$(CARGO) build --locked --manifest-path release/Cargo.toml --target-dir $(TARGET)/release-light --no-default-features --features witness

release-drill: rust ## rehearses rollout, rollback, revocation, theft and lost keys, against running enclaves
	$(CARGO) build --locked --workspace --bins
	@$(MAKE) --no-print-directory release-tool
	@$(TARGET)/debug/release-drill

test: rust ## every test that needs Rust and a C compiler only
	$(CARGO) test --locked --workspace --no-fail-fast
	$(CARGO) test --locked -p ok2cry-attest-verify --features cli --no-fail-fast
	$(CARGO) test --locked -p ok2cry-enclave -p ok2cry-mock-nsm --features aws-lc --no-fail-fast
	$(CARGO) build --locked -p ok2cry-mock-nsm --features aws-lc
	OK2CRY_TEST_CRYPTO=aws-lc $(CARGO) test --locked -p ok2cry-tests --no-fail-fast \
	  --test the_main_job --test once --test race --test endings --test hostile_parent --test secrets
	$(CARGO) test --locked --manifest-path release/Cargo.toml --target-dir $(TARGET)/release-light --no-default-features --features witness --no-fail-fast

test-js: rust node ## the JavaScript client in Node, browsers and other runtimes: vectors, real processes, the demo's page, what npm would install
	cd clients/js && npm ci --silent --ignore-scripts && npm run --silent lint && npm run --silent build && npm run --silent demo:check
	$(CARGO) build --locked --workspace --bins
	@$(MAKE) --no-print-directory release-tool
	cd clients/js && npm test --silent
	$(TARGET)/debug/differential $(or $(DIFFERENTIAL),3000) | node clients/js/test/differential.mjs
	cd clients/js/test/runtimes && npm ci --silent --ignore-scripts
	cd clients/js && npm run --silent test:runtimes
	bash -c '. image/lib.sh; need chromium firefox-esr libwebkit2gtk-4.1-0 xvfb'
	cd clients/js && npm run --silent test:browser

bench-js: rust node ## the time that the JavaScript client takes to verify, compared with raw signatures; BENCH=--short only shows that it runs
	@bash -c '. image/lib.sh; need chromium'
	@cd clients/js && npm ci --silent --ignore-scripts && npm run --silent build && npm run --silent size
	@$(CARGO) build --locked --quiet --workspace --bins
	@node clients/js/bench/verify.mjs $(BENCH)

test-loom: rust ## the key store under every interleaving of its locks
	LOOM_MAX_PREEMPTIONS=3 RUSTFLAGS="--cfg ok2cry_loom" $(CARGO) test --locked -p ok2cry-enclave --lib --target-dir $(TARGET)/loom keys::store::

lint: rust ## formatting, clippy and documentation, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path release/Cargo.toml --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --all-features --quiet

sbom: rust ## writes the enclave program's bill of materials (CycloneDX): target/ok2cry-enclave.cdx.json
	image/sbom

eif: rust ## the enclave image, by this machine's tools: target/ok2cry.eif and its measurements
	image/eif $(EIF)

eif-container: rust ## the enclave image, canonically: in a container without a network; BASE= as image/base prints it
	image/container "$(or $(BASE),$(shell image/base))" $(EIF)

measure: rust ## the measurements of any image: make measure EIF=FILE
	@$(CARGO) run --locked --quiet --manifest-path release/Cargo.toml --target-dir $(TARGET)/release-light --no-default-features -- measure $(EIF)

test-image: ## checks that the image is the same wherever it is built, holds no mock, and passes the tests in QEMU; SHORT=1 compiles the kernel once less
	@$(MAKE) --no-print-directory test-reproducible
	@$(MAKE) --no-print-directory test-booted

test-reproducible: rust ## the first half of test-image: the image's bytes
	image/test-reproducible $(if $(SHORT),--short) $(BASE)

test-booted: rust ## the second half of test-image: the release program, and the end-to-end tests against booted images
	$(CARGO) test --locked --manifest-path release/Cargo.toml --target-dir $(TARGET)/release-tool --no-fail-fast
	$(CARGO) build --locked --workspace --bins
	machine=$$(image/machine) && \
	  OK2CRY_TEST_MACHINE=$$machine $(CARGO) test --locked -p ok2cry-tests -p ok2cry-demo --no-fail-fast -- --test-threads=2

bench-image: rust ## the size of the image, and the time from boot to its first key
	$(CARGO) build --locked --workspace --bins
	@image/eif $(TARGET)/ok2cry.eif >/dev/null
	@machine=$$(image/machine) && OK2CRY_TEST_MACHINE=$$machine $(TARGET)/debug/measure-boot
	@image/figures $(TARGET)/ok2cry.eif $${OK2CRY_PROGRAM:-$(TARGET)/image/x86_64-unknown-linux-gnu/image/ok2cry-enclave}

qemu: rust ## a developer's real enclave: an image booted in QEMU, and a parent that keeps serving on loopback
	$(CARGO) build --locked --workspace --bins
	@$(MAKE) --no-print-directory release-tool
	machine=$$(image/machine) && OK2CRY_TEST_MACHINE=$$machine $(TARGET)/debug/ok2cry-demo

vectors: rust ## check that the frozen vectors, and the codes for TypeScript, are what the committed programs make
	$(CARGO) build --locked --workspace --bins
	$(TARGET)/debug/generate-vectors --check
	$(TARGET)/debug/generate-attestation-vectors --check
	$(TARGET)/debug/generate-codes --check

bench: rust ## load test, compared with an unattested baseline; BENCH=--short only shows that it runs
	$(CARGO) build --locked --profile $(BENCH_PROFILE) --quiet -p ok2cry-mock-nsm --features aws-lc
	$(CARGO) build --locked --profile $(BENCH_PROFILE) --quiet -p ok2cry-parent
	$(CARGO) build $(BENCH_WORKSPACE) --profile $(BENCH_PROFILE) -p ok2cry-bench-baseline
	@OK2CRY_BENCH_BINARIES=$(abspath $(TARGET))/$(BENCH_FOLDER) \
	  $(CARGO) run $(BENCH_WORKSPACE) --profile $(BENCH_PROFILE) -p ok2cry-bench-load -- $(BENCH)

bench-verify: rust ## verified documents per second, compared with other crates and with the bare signatures; BENCH=--short only shows that it runs
	$(CARGO) run $(BENCH_WORKSPACE) --profile $(BENCH_PROFILE) -p ok2cry-bench-verify -- $(BENCH)

bench-crypto: rust ## the cost of a key under each crypto provider, compared with HPKE libraries of other languages; BENCH=--short only shows that it runs
	@bench/crypto/peers/install $(TARGET)/bench/peers || echo "without the HPKE libraries of PyPI" >&2
	$(CARGO) build $(BENCH_WORKSPACE) --profile $(BENCH_PROFILE) -p ok2cry-bench-crypto
	@PATH="$(abspath $(TARGET))/bench/peers/bin:$$PATH" $(TARGET)/bench/$(BENCH_FOLDER)/ok2cry-bench-crypto $(BENCH)

bench-store: rust ## memory, rates and lag at up to a million live keys, compared with a naive design and Valkey; BENCH=--short only shows that it runs
	$(CARGO) run $(BENCH_WORKSPACE) --profile $(BENCH_PROFILE) -p ok2cry-bench-store -- $(BENCH)

fuzz-smoke: rust ## every fuzz target for 15 seconds; needs a C++ compiler
	fuzz/smoke

ci: ## everything that CI runs
	bash .ci/run

.PHONY: rust
rust:
	@command -v $(CARGO) >/dev/null || { \
	  echo "Rust is missing: install it from https://rustup.rs (1.92 or newer), then run make again." >&2; exit 1; }

node:
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(+!(a > 22 || (a === 20 && b >= 19) || (a === 22 && b >= 12)))' \
	  2>/dev/null && command -v npm >/dev/null || { \
	  echo "Node is missing: install version 20.19, 22.12 or newer, with npm, from https://nodejs.org, then run make again." >&2; exit 1; }
