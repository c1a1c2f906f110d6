# `make` alone lists what there is. Everything runs in .venv, which scripts/setup.sh keeps in step with the lock.
# ARGS hands arguments on: make run ARGS="--profile published", make test ARGS="-k coupling".
SHELL := bash
.DEFAULT_GOAL := help
ARGS ?=
REPORT ?= runs/demo/report/index.html
NOTEBOOKS = $(wildcard notebooks/*.ipynb)

.PHONY: help .venv run test lint format lock report figures notebooks badges clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z.]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

# Not a file target: the lock's hash decides, not a date that every checkout changes. Up to date costs milliseconds.
.venv: ## the environment: requirements.lock and this package, made anew when the lock changes
	@bash scripts/setup.sh

run: ## the whole study, as ./run_all.sh $(ARGS)
	@bash run_all.sh $(ARGS)

test: .venv ## every test; sees to a browser first
	@bash scripts/browser.sh
	@.venv/bin/pytest $(ARGS)

lint: .venv ## what a commit must pass: ruff over code and notebooks, and notebooks without outputs
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(if $(NOTEBOOKS),.venv/bin/nbstripout --verify $(NOTEBOOKS))

format: .venv ## mend what can be mended: ruff's fixes, its layout, outputs stripped from notebooks
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .
	$(if $(NOTEBOOKS),.venv/bin/nbstripout $(NOTEBOOKS))

lock: ## requirements.lock anew from pyproject.toml and constraints.txt (ARGS=--upgrade for newer versions)
	@command -v uv >/dev/null || { echo "make lock needs uv: pipx install uv, or https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --constraint constraints.txt --custom-compile-command "make lock" --output-file requirements.lock $(ARGS)

report: ## open the last report (REPORT=path for another run's)
	@test -f "$(REPORT)" || { echo "No report at $(REPORT) yet: ./run_all.sh makes it." >&2; exit 1; }
	@python3 -m webbrowser -t "file://$$(pwd -P)/$(REPORT)" || echo "Open $(REPORT) in a browser."

PUBLISHED ?= demo published challenge retrieval landmarks
figures: ## publish the figures of the runs in runs/ below figures/ (PUBLISHED="demo published challenge retrieval landmarks")
	@for profile in $(PUBLISHED); do \
	  test -d runs/$$profile/figures || { echo "No figures in runs/$$profile yet: ./run_all.sh --profile $$profile" >&2; exit 1; }; \
	  mkdir -p figures/$$profile && rm -f figures/$$profile/*.png figures/$$profile/*.csv && \
	  cp runs/$$profile/figures/*.png runs/$$profile/figures/*.csv figures/$$profile/; done

notebooks: .venv ## publish the executed notebooks of the runs in runs/ below docs/notebooks/, as small HTML files
	@for profile in $(PUBLISHED) labeller; do \
	  test -d runs/$$profile/notebooks || { echo "No notebooks in runs/$$profile yet: ./run_all.sh --profile $$profile" >&2; exit 1; }; \
	  .venv/bin/python scripts/notebooks.py runs/$$profile docs/notebooks/$$profile; done

badges: .venv ## write the address in pyproject.toml into the notebooks: badges, and a first cell that clones
	@.venv/bin/python scripts/badges.py

clean: ## caches and build leftovers; leaves .venv and runs/ alone
	rm -rf .pytest_cache .ruff_cache build dist
	find src tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} + 2>/dev/null || true
