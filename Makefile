# The two commands: `make run` and `make test`. `make help` lists the others.
.DEFAULT_GOAL := help
.PHONY: compiled help run materialize ui test quick fuzz sweep check clean compat bench-bucket bench-checkpoints bench-codecontests bench-fetch bench-end-to-end bench-engine bench-evaluation bench-pairs bench-problem-map bench-quality bench-rows

wmtp := .venv/bin/wmtp
installed := .venv/.installed
installed_dev := .venv/.installed-dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(installed) ## make every asset of the catalog (WMTP_CATALOG, default sample), then serve the UI
	@$(wmtp) run

materialize: $(installed) ## the same without the UI; exits non-zero when a blocking check fails
	@$(wmtp) materialize

ui: $(installed) ## Dagster's UI alone, on 127.0.0.1:3000 (PORT= for another)
	@$(wmtp) ui

# A third of the tests for each worker, in order, and what is left of the slowest for all: a module's
# tests stay together, so that what they share is made once. One worker more than the two cores of CI,
# as many tests wait for processes of their own.
workers := -n 3 --dist worksteal

# Tests start hundreds of processes, each of which would compile the package anew where
# PYTHONDONTWRITEBYTECODE is set, as in many containers.
compiled: $(installed_dev)
	@.venv/bin/python -m compileall -q wmtp_assets wmtp_assets_tests

test: $(installed_dev) compiled ## every test
	@.venv/bin/python -m pytest $(workers) $(ARGS)

quick: $(installed_dev) compiled ## the tests without the slow ones
	@.venv/bin/python -m pytest $(workers) -m "not slow" $(ARGS)

fuzz: $(installed_dev) ## every fuzzer, 300 s each with a fresh seed (WMTP_FUZZ_SECONDS=, WMTP_FUZZ_SEED=)
	@WMTP_FUZZ_SECONDS=$${WMTP_FUZZ_SECONDS:-300} WMTP_FUZZ_SEED=$${WMTP_FUZZ_SEED:-$$(date +%s)} \
		.venv/bin/python -m pytest $(workers) -m fuzz $(ARGS)

sweep: $(installed_dev) ## publishing paths and whole runs, struck at every disk operation of theirs
	@WMTP_SWEEP=all .venv/bin/python -m pytest -n 2 -rP \
		-k "at_every_operation or by_the_kernel or struck_anywhere" \
		wmtp_assets_tests/artifacts/test_sweep.py wmtp_assets_tests/artifacts/test_real_disks.py \
		wmtp_assets_tests/orchestration/test_sweep_of_runs.py $(ARGS)

check: $(installed_dev) ## style, types, and Dagster's own validation
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/wmtp validate

compat: $(installed_dev) ## what is published, loaded in eight versions of transformers (downloads them)
	@PYTHONPATH=. .venv/bin/python tooling/compat.py

bench-bucket: $(installed_dev) ## buckets: races, flips, kills, memory, and speed beside a plain put
	@.venv/bin/python -m benchmarks.bucket

bench-checkpoints: $(installed_dev) ## conversion against floors and peers (SCALE=1 is 2.7 GB)
	@.venv/bin/python -m benchmarks.checkpoints

bench-codecontests: $(installed_dev) ## the transform against floors and peers (SCALE=1 is upstream's size)
	@.venv/bin/python -m benchmarks.codecontests

bench-end-to-end: $(installed_dev) ## a whole run, fetch to gate (SCALE=1 is 2.8 GB + 1.1 GB + a tenth of code_contests)
	@.venv/bin/python -m benchmarks.end_to_end

bench-fetch: $(installed_dev) ## fetching against curl and sha256sum
	@.venv/bin/python -m benchmarks.fetch

bench-pairs: $(installed_dev) ## pairs for training at 3.7 million rows, against json and the standard library
	@.venv/bin/python -m benchmarks.pairs

bench-rows: $(installed_dev) ## how soon a page of rows is answered at 3.7 million rows
	@.venv/bin/python -m benchmarks.rows

bench-engine: $(installed_dev) ## rows executed by Ray and by array jobs, against one process
	@.venv/bin/python -m benchmarks.engine

bench-evaluation: $(installed_dev) ## the tests of whole problems: SCALE=1 is upstream's 13,328 problems
	@.venv/bin/python -m benchmarks.evaluation

bench-problem-map: $(installed_dev) ## the metadata by problem at 3.7 million rows
	@.venv/bin/python -m benchmarks.problem_map

bench-quality: $(installed_dev) ## executed solutions, leaks and near-duplicates, against floors
	@.venv/bin/python -m benchmarks.quality

clean: ## removes the environment and caches; storage/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(installed): pyproject.toml constraints.txt tooling/setup.sh
	@tooling/setup.sh && touch $@

$(installed_dev): pyproject.toml constraints.txt tooling/setup.sh
	@tooling/setup.sh dev && touch $@ $(installed)
