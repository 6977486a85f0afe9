# make demo: from a bare machine to a report.  make test: every test.  Both set up what is missing first.
SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)
CARGO ?= cargo
PYTHON := .venv/bin/python
DEMO := samples/colour_0_impossible.mp4

.PHONY: help demo test test-rust test-python test-wheel wheel models-check lint gallery setup setup-tests build fuzz bench soak model control benchmark natural bundle clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

demo: build ## Set up, build, analyze a sample with a violation in it, leave a report
	target/release/startle analyze $(DEMO) --out reports/demo

test: setup-tests lint test-rust test-python test-wheel ## Set up, then run every test

test-rust: setup ## The Rust tests alone
	$(CARGO) test --locked

test-python: setup-tests ## The exporter's, the world's and the trainer's tests alone
	cd models/python && OMP_NUM_THREADS=1 ../../$(PYTHON) -m pytest -q tests

wheel: setup ## The Python package (pip install startle) in target/wheels
	.ci/wheel.sh build

test-wheel: setup-tests ## The Python package from a fresh environment: numbers, notebook, Ray
	.ci/wheel.sh test

models-check: setup-tests ## startle models add: against transformers, the exporter, and a hub on this machine
	$(CARGO) test --locked --test models_add --test paper_pixels
	cd models/python && OMP_NUM_THREADS=1 ../../$(PYTHON) -m pytest -q tests/test_models_add.py

lint: setup-tests ## Formatting and lints
	.venv/bin/ruff check --config models/python/pyproject.toml models/python benches .ci src/python
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --lib --no-default-features --features python -- -D warnings

build: setup ## Build the release program
	$(CARGO) build --release --locked

FUZZ_CASES ?= 2000
fuzz: setup ## Bent videos, images, playlists, manifests, baselines and results: FUZZ_CASES=2000 of each
	STARTLE_FUZZ_CASES=$(FUZZ_CASES) $(CARGO) test --locked --release --test fuzz

bench: setup-tests build ## Speed of the bundled models against a straightforward Python pipeline; writes reports/benchmarks/
	$(PYTHON) benches/compare.py --bundle models/startle-o1 --out reports/benchmarks
	$(PYTHON) benches/compare.py --bundle models/startle-s1 --out reports/benchmarks

SOAK_MINUTES ?= 10
soak: setup-tests build ## Eight live streams with random faults for SOAK_MINUTES=10; writes reports/benchmarks/soak.md
	$(PYTHON) benches/soak.py --minutes $(SOAK_MINUTES) --out reports/benchmarks

gallery: setup-tests build ## A screenshot of every page and plot in reports/gallery/
	.ci/gallery.sh

setup: ## Install what building and running need
	@.ci/setup.sh

setup-tests: ## Install what the tests need too
	@.ci/setup.sh tests

model: setup-tests build ## Train the bundled model (MINUTES=60 for its encoder; FOOTAGE= of your own), export, calibrate
	.ci/train.sh
	$(MAKE) bundle

control: setup-tests build ## Train the benchmark's control of pixels (MINUTES=140 of a core), export, calibrate
	.ci/control.sh

PAIRS ?= 50
MODEL ?= models/startle-o1
benchmark: setup-tests build ## The bundled model on held-out twins, beside its controls; writes reports/benchmark/
	PAIRS=$(PAIRS) MODEL=$(MODEL) .ci/benchmark.sh

natural: setup-tests build ## The bundled model on twins of real footage (FOOTAGE=DIR with a manifest.csv); reports/benchmark-natural/
	cd models/python && ../../$(PYTHON) -m startle_models.natural_twins --footage $(abspath $(FOOTAGE)) \
		--out ../checkpoints/natural
	target/release/startle evaluate models/checkpoints/natural --layout pairs --model $(MODEL) --no-random \
		--jobs $$(nproc) --max-false-alarms 30/hour --out reports/benchmark-natural

bundle: setup-tests build ## Export and calibrate the bundled model from models/checkpoints/o2
	.ci/bundle.sh

clean: ## Remove what was built (not the set-up)
	$(CARGO) clean
