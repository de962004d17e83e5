# Each target sets up what it needs in .venv; nothing but Python 3.10+, make and git is expected to be there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_OUTPUT ?= datatrove_output/demo
DEMO_LOGS ?= datatrove_logs/demo
TEST_JOBS ?= 2
# Files and packages whole, the longest first (tests/conftest.py).
DIST := --dist loadscope
FUZZ_TEXTS ?= 100000
FUZZ_MINUTES ?= 0
FALLBACK_TESTS := tests/native tests/filters tests/pipelines/test_doctor.py tests/test_local_mixture.py

.PHONY: help setup demo test test-quick slurm-test test-fallback sanitize fuzz proof record compilers lint format bench bench-quick bench-all clean

help:
	@echo "make demo        stage 1 on the bundled sample, 2 workers"
	@echo "make test        the whole test suite"
	@echo "make test-quick  without the long proofs"
	@echo "make test-fallback the filters' tests without the native core"
	@echo "make slurm-test  runs on a throw-away Slurm of two nodes (needs Debian's slurm-wlm and munge)"
	@echo "make sanitize    the native core's tests under AddressSanitizer and UBSan (needs g++)"
	@echo "make fuzz        hostile texts against stock, guided by coverage (needs clang); FUZZ_TEXTS, FUZZ_MINUTES"
	@echo "make proof       every profile on every document of ../shared/data against stock (an hour)"
	@echo "make record      stock's answers on 33,029 documents, as tests/native/stock_record.json remembers them"
	@echo "make compilers   g++, clang++ and g++ for aarch64 compile the native core without a warning"
	@echo "make lint        ruff and mypy"
	@echo "make bench       speed beside stock datatrove and other libraries, into benchmarks/results.json and the tables"
	@echo "make bench-quick the same in small, to see that it works; writes nothing"
	@echo "make bench-all   every benchmark (needs ../shared/data)"
	@echo "make clean       remove .venv and the demo's output"

# pip is asked once for all that is wanted: each installation builds the native core anew.
define INSTALL
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 10) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
endef

$(VENV)/run.stamp: pyproject.toml requirements_datatrove.txt
	$(INSTALL) .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml requirements_datatrove.txt requirements_dev.txt
	$(INSTALL) '.[dev]'
	@touch $(VENV)/run.stamp $@

setup: $(VENV)/dev.stamp

demo: $(VENV)/run.stamp
	$(BIN)/python smollm3_stage1_datatrove_pipeline.py --mirror examples/mini_hub --target-tokens 300k \
		--tasks 2 --workers 2 --output-folder $(DEMO_OUTPUT) --logging-dir $(DEMO_LOGS) --run-dedup
	$(BIN)/smoltrove verify $(DEMO_OUTPUT)
	$(BIN)/smoltrove verify $(DEMO_OUTPUT)_dedup
	@echo "Look at the documents: gzip -cd $(DEMO_OUTPUT)/HuggingFaceFW_fineweb-edu/default/00000.jsonl.gz | head -n 1"

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(TEST_JOBS) $(DIST) -m "not short"

test-quick: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(TEST_JOBS) $(DIST) -m "not slow"

slurm-test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -v tests/pipelines/slurm

# What judges documents, on datatrove's own code: as after an installation without a compiler.
test-fallback: $(VENV)/dev.stamp
	SMOLTROVE_NATIVE=0 $(BIN)/python -m pytest -n $(TEST_JOBS) $(DIST) -m "not slow" $(FALLBACK_TESTS)

sanitize: $(VENV)/dev.stamp
	$(BIN)/python -m tests.native.sanitize

fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris==3.0.0
	$(BIN)/python -m tests.native.fuzz.run --texts $(FUZZ_TEXTS) --minutes $(FUZZ_MINUTES)

proof: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/proof.py --jobs $(TEST_JOBS)
	$(BIN)/python benchmarks/hungry.py
	SMOLTROVE_WHOLE=1 $(BIN)/python -m pytest -n $(TEST_JOBS) $(DIST) -m slow tests/native

# Renews what the tests remember of stock, after another version of what answers or another profile.
record: $(VENV)/dev.stamp
	$(BIN)/python -m tests.native.stock_record

compilers: $(VENV)/dev.stamp
	$(BIN)/python -m tests.native.build compilers

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/bench.py $(if $(QUICK),--quick)

bench-quick: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/bench.py --quick

bench-all: bench
	$(BIN)/python benchmarks/readers.py ../shared/data
	$(BIN)/python benchmarks/json_lines.py ../shared/data
	$(BIN)/python benchmarks/fast_gopher.py en vi --documents 20000 --stock-every 50
	$(BIN)/python benchmarks/fast_minhash.py en vi --documents 5000
	$(BIN)/python benchmarks/html_extraction.py
	$(BIN)/python benchmarks/dedup.py speed ../shared/data --output benchmarks/results/dedup_speed.md
	$(BIN)/python benchmarks/dedup.py memory ../shared/data --output benchmarks/results/dedup_memory.md
	$(BIN)/python benchmarks/dedup_sentence.py
	$(BIN)/python benchmarks/dedup_scale.py ../shared/data
	$(BIN)/python benchmarks/dedup_verify_memory.py ../shared/data
	$(BIN)/python benchmarks/dedup_peers.py ../shared/data
	$(BIN)/python benchmarks/spam_table.py
	$(BIN)/python benchmarks/vietnamese_profile.py
	$(BIN)/python benchmarks/hub_campaign.py --output benchmarks/results/hub_campaign.md
	$(BIN)/python benchmarks/estimate_check.py
	$(BIN)/python benchmarks/scaling_curve.py
	$(BIN)/python benchmarks/slurm_campaign.py --output benchmarks/results/slurm_campaign.md
	$(BIN)/python benchmarks/ray_faults.py --output benchmarks/results/ray_faults.md
	$(BIN)/python benchmarks/scaling.py

clean:
	rm -rf $(VENV) $(DEMO_OUTPUT) $(DEMO_OUTPUT)_dedup $(DEMO_LOGS)
