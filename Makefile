# Everything runs in .venv, which the first target that needs it builds from requirements.lock.
.DEFAULT_GOAL := help
.PHONY: help demo test lab bench lint lock machine

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export MLFLOW_DISABLE_TELEMETRY := true
ifdef PIP_INDEX_URL  # pip's own setting, which uv does not read
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

demo: $(READY) ## Run the first tutorial on a registry of its own, in a new folder under demo/
	$(BIN)/hokusai demo

test: machine lint ## Run the gates, every test and every notebook, and measure coverage
	$(BIN)/coverage erase
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/coverage run -m pytest tests notebooks \
	  -p xdist -p timeout -p _hypothesis_pytestplugin -n auto --dist loadfile \
	  -p nbval.plugin --nbval --nbval-current-env --nbval-sanitize-with tests/notebooks/sanitize.cfg
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

lab: $(READY) ## Open JupyterLab on the tutorials
	$(BIN)/jupyter lab --ServerApp.root_dir=. $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01_register_a_model.ipynb

# The browser and the servers of the tests. As root on Debian they are installed; elsewhere their tests are left out with
# one loud line, except in CI, where they fail.
machine:
	@{ command -v chromium && command -v redis-server && ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || \
	  [ "$$(id -u)" != 0 ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends \
	  chromium fonts-dejavu-core redis-server postgresql >/dev/null; }

bench: $(READY) machine ## Print the table of figures that CONTRIBUTING.md holds
	$(BIN)/python -m tests.bench

lint: $(READY) ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(READY) ## Resolve pyproject.toml into requirements.lock again
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  --python-version 3.11 --all-extras --group test pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  --python-version 3.11 --extra lab --group build -c requirements.lock pyproject.toml -o binder/requirements.txt

# The installer comes first, by its own lines of the lock; it brings the rest, and nothing that the lock does not name.
$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { apt-get update && apt-get install -y python3-venv && $(PYTHON) -m venv .venv; }
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip sync --quiet --python .venv --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python .venv --no-deps --no-build-isolation -e .
	touch $@
