# Every target does its own set-up in .venv; nothing is installed outside this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHON_OK := import sys; v = sys.version_info[:2]; sys.exit(f"gpubox needs Python 3.11 or newer (this is {v[0]}.{v[1]}); run: make PYTHON=python3.12 ..." if v < (3, 11) else 0)

.PHONY: help demo test lint format e2e e2e-page e2e-switch e2e-soak e2e-releases e2e-bisect box box-down bench schema golden clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.base: pyproject.toml scripts/gpubox/__init__.py
	@$(PYTHON) -c '$(PYTHON_OK)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "gpubox: installing into $(VENV) (once; takes about half a minute)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "gpubox: installing the development tools into $(VENV) (once)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable ".[demo,postgresql]" --group dev
	@touch $@

demo: $(VENV)/.base ## the main job on this machine: two profiles served, measured, compared (no GPU, no root)
	@$(BIN)/gpubox demo

test: $(VENV)/.dev ## run the tests
	@$(BIN)/python -m pytest

lint: $(VENV)/.dev ## ruff, mypy, yamllint, and ansible-lint where there is a playbook
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict .
	@if ls playbooks/*.yml >/dev/null 2>&1; then PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline; fi

format: $(VENV)/.dev ## let ruff format the Python code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

$(VENV)/.browser: $(VENV)/.dev
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --group browser
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || apt-get install -qq --yes chromium >/dev/null \
		|| echo "gpubox: chromium can't be installed here; the tests that need it will be skipped"
	@touch $@

e2e: $(VENV)/.dev $(VENV)/.browser ## tests on real boxes (root; installs what boxes need with apt-get)
	@$(BIN)/python -m pytest -m "e2e and not matrix and not releases and not bisect"

e2e-page: $(VENV)/.browser ## the HTML page in Chromium, with axe-core (half a minute)
	@$(BIN)/python -m pytest -m browser

e2e-switch: $(VENV)/.dev ## every step of a switch times every fault, on a box (root; ten minutes)
	@$(BIN)/python -m pytest -m e2e tests/e2e/test_switch*.py

e2e-soak: $(VENV)/.dev ## switches under random faults, watched on the box: make e2e-soak MINUTES=60 SEED=1 (root)
	@PYTHONPATH=tests $(BIN)/python -m soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

e2e-releases: $(VENV)/.dev ## Ubuntu 24.04 from bare to serving, where its archive answers, and what dnf reads (root)
	@$(BIN)/python -m pytest -m releases

e2e-bisect: $(VENV)/.dev ## the commit that made a server slower, found on a box (root; five minutes)
	@$(BIN)/python -m pytest -m bisect

box: ## a Debian 13 box to play with: systemd, sshd, nothing of gpubox (root)
	@$(PYTHON) -c '$(PYTHON_OK)'
	@PYTHONPATH=tests $(PYTHON) -m lab up

box-down: ## remove the boxes that `make box` started (root)
	@PYTHONPATH=tests $(PYTHON) -m lab down

golden: $(VENV)/.dev ## write the golden files anew; git shows what changed
	@GPUBOX_GOLDEN=write $(BIN)/python -m pytest -k golden

bench: $(VENV)/.dev ## the benchmarks of tests/benchmarks, as ratios
	@for f in tests/benchmarks/bench_*.py; do $(BIN)/python $$f || exit 1; done

schema: $(VENV)/.base ## write the committed JSON schema of profiles anew
	@$(BIN)/gpubox check --json-schema > inventory/profiles/schema.json

clean: ## remove the virtual environment and the caches
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .ansible
