# Everything a person or a build server runs here. `make help` lists it.
#
# PYTHON is the interpreter that makes the environment (3.11 or newer); ARGS are handed to the command, as in
# `make test ARGS="-k spool"`.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$python >/dev/null 2>&1 && \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo $$python && exit; done; echo python3)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

# A stamp is newer than what it was made from as long as nothing needs to be installed. Whoever has the development
# packages has the runtime ones too.
RUNTIME := $(VENV)/.lowtide-runtime
DEV := $(VENV)/.lowtide-dev
FUZZ := $(VENV)/.lowtide-fuzz
REQUIREMENTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: venv
venv: $(DEV) ## Install everything for development into .venv, if anything has changed

.PHONY: run
run: $(RUNTIME) ## Install, start Lowtide with the demo company, and print the first cost table
	$(BIN)/lowtide quickstart $(ARGS)

.PHONY: tools
tools: ## On Debian: unpack the peers of the tests into .tools; installed, they would start as services
	mkdir -p .tools
	cd .tools && apt-get download --quiet prometheus prometheus-node-exporter
	cd .tools && for package in *.deb; do dpkg-deb -x "$$package" . || exit 1; done
	rm .tools/*.deb

.PHONY: test
test: $(DEV) lint ## Run every check and test
	$(BIN)/python -m pytest -n 2 $(ARGS)

.PHONY: test-server
test-server: $(DEV) ## Run every test with the store behind HTTP in a second process
	LOWTIDE_TEST_STORE=server $(BIN)/python -m pytest -n 2 $(ARGS)

# The long form of the tests in docs/faults.md. FAULTS=0.1 is a tenth of it; SEED draws the same faults again.
FAULTS ?= 1
SEED ?= $(shell date +%s)
SEED := $(SEED)
FAULT_TESTS := tests/serve/test_kills.py tests/serve/test_full_disk.py tests/serve/test_clock_jumps.py \
	tests/serve/test_bad_input.py tests/serve/test_resends.py tests/serve/test_power_failure.py \
	tests/ingest/spool tests/ingest/loader tests/ingest/store/test_faults.py tests/ingest/store/test_views_fuzz.py \
	tests/collector/check tests/collector/remote_write tests/collector/test_otlp_json.py tests/collector/test_codecs.py \
	tests/collector/test_bombs.py tests/collector/test_grpc_abuse.py tests/collector/test_guided_fuzz.py \
	tests/collector/test_http_random.py tests/collector/foreign tests/collector/scrape \
	tests/ingest/store/test_functions.py tests/ingest/store/test_access_log.py

.PHONY: faults
faults: $(DEV) $(FUZZ) ## Try faults and bad input for an hour and a half, other ones each time
	LOWTIDE_FAULTS=$(FAULTS) LOWTIDE_FAULTS_SEED=$(SEED) $(BIN)/python -m pytest -n 2 \
		--hypothesis-seed=$(SEED) $(FAULT_TESTS) $(ARGS)

.PHONY: lint
lint: $(DEV) ## Check style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(DEV) ## Format the code and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: docs
docs: $(DEV) ## Write the generated pages of the documentation
	$(BIN)/lowtide config docs > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md
	$(BIN)/lowtide conformance list --output markdown > docs/conformance-rules.md.new
	mv docs/conformance-rules.md.new docs/conformance-rules.md

.PHONY: bench
bench: $(RUNTIME) ## Measure, and write the results to bench/results/
	$(BIN)/python -m bench $(ARGS)

.PHONY: clean
clean: ## Remove caches and builds; the environment and your data stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name .git -prune -o -name $(VENV) -prune -o -name node_modules -prune -o \
		-name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove the environment too
	rm -rf $(VENV)

$(RUNTIME): $(REQUIREMENTS)
	@$(PYTHON) .ci/install.py $(VENV) embedded
	@touch $@

$(DEV): $(REQUIREMENTS)
	@$(PYTHON) .ci/install.py $(VENV) embedded,dev
	@touch $(RUNTIME) $@

# Made for few systems and Python versions. Without it, what it leads is skipped and the rest runs.
$(FUZZ): $(DEV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --only-binary atheris \
		-c constraints.txt -e '.[fuzz]' || echo "Without atheris: fuzzing led by coverage is skipped."
	@touch $@
