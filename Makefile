# `make demo` and `make test` are all one needs on a fresh machine with Python 3.11 or newer.
# Each target makes .venv by itself; PYTHON=/path/to/python chooses the interpreter.

BIN := .venv/bin
export NO_MKDOCS_2_WARNING = 1
# Without compiled files each of the processes that tests start compiles the package: a quarter of its start.
unexport PYTHONDONTWRITEBYTECODE
# See tests/support/side_by_side.py, which says how many, and in which order.
SIDE_BY_SIDE := -n auto --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.NOTPARALLEL:

.PHONY: help
help: ## Say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

.PHONY: demo
demo: venv-demo ## Run the booking saga: a success, a failure with its undos, a kill -9 and the recovery
	@$(BIN)/python -m examples.demo

.PHONY: test
test: lint pytest docs ## Everything that must hold before a commit

.PHONY: check
check: lint ## What is quick of it, for each commit
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not restate" tests/unit tests/contract

.PHONY: pytest
pytest: venv ## The tests alone
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# mypy and pyright take a minute each, of one processor.
.PHONY: lint
lint: venv ## Style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & mypy=$$!; $(BIN)/pyright --pythonpath $(BIN)/python; pyright=$$?; wait $$mypy && exit $$pyright
	$(BIN)/lint-imports

.PHONY: format
format: venv ## Mend style where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m scripts.cli_reference
	$(BIN)/python -m scripts.backends_page
	$(BIN)/python -m scripts.values_page

# Run plainly: with -q or -v a strict build that found bad anchors still exits 0.
.PHONY: docs
docs: venv ## Build the site into site/
	$(BIN)/mkdocs build --strict

.PHONY: docs-serve
docs-serve: venv ## Serve the site on loopback while writing
	$(BIN)/mkdocs serve

.PHONY: bench
bench: ## Measure against the bare log, DBOS and restate-sdk on this machine (see docs/design/benchmarks.md)
	@scripts/make-venv bench
	$(BIN)/python -m benchmarks

.PHONY: venv
venv:
	@scripts/make-venv dev

# The demo needs no developer tools: fewer downloads before the first line of output.
.PHONY: venv-demo
venv-demo:
	@test -f .venv/.installed-dev || scripts/make-venv

.PHONY: clean
clean: ## Remove what was built; keeps .venv
	rm -rf site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
