# The front door. `make` lists what there is.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
export DEMO_ONCE

.PHONY: help demo test lint qemu test-image vectors bench-verify bench-crypto fuzz-smoke ci

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: rust ## the whole story on this machine, with a mock NSM; DEMO_ONCE=1 ends after it
	$(CARGO) build --locked --workspace --bins
	@$(TARGET)/debug/ok2cry-demo

test: rust ## every test that needs Rust only
	$(CARGO) test --locked --workspace --no-fail-fast
	$(CARGO) test --locked -p ok2cry-enclave -p ok2cry-mock-nsm --features aws-lc --no-fail-fast

lint: rust ## formatting, clippy and documentation, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --all-features --quiet

qemu: rust ## a developer's real enclave: an image booted in QEMU, and a parent that keeps serving on loopback
	$(CARGO) build --locked --workspace --bins
	OK2CRY_TEST_MACHINE=$$(image/machine) $(TARGET)/debug/ok2cry-demo

test-image: rust ## the whole end-to-end suite against images booted in QEMU
	$(CARGO) build --locked --workspace --bins
	OK2CRY_TEST_MACHINE=$$(image/machine) $(CARGO) test --locked -p ok2cry-tests --no-fail-fast -- --test-threads=2

vectors: rust ## check that the frozen vectors are what the committed program makes
	$(CARGO) build --locked --workspace --bins
	$(TARGET)/debug/generate-vectors --check
	$(TARGET)/debug/generate-attestation-vectors --check

bench-verify: rust ## documents per second, beside other crates and beside the limit; BENCH=--short only shows that it runs
	$(CARGO) run --locked --release --quiet --manifest-path bench/Cargo.toml -- $(BENCH)

bench-crypto: rust ## what a key costs under each crypto provider, and in the libraries beneath them
	$(CARGO) run --locked --release --quiet --manifest-path bench/crypto/Cargo.toml --target-dir $(TARGET)/bench

fuzz-smoke: rust ## every fuzz target for 15 seconds; needs a C++ compiler
	fuzz/smoke

ci: ## everything that CI runs
	bash .ci/run

.PHONY: rust
rust:
	@command -v $(CARGO) >/dev/null || { \
	  echo "Rust is missing: install it from https://rustup.rs (1.92 or newer), then run make again." >&2; exit 1; }
