# The commands of the book; `make` alone lists them.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready-$(or $(TORCH),default)$(if $(MEDICAL3D),-medical3d)
WHAT := -r requirements.txt $(if $(MEDICAL3D),-e '.[medical3d]')
PYTHON ?= python3
# A chapter, as given to make itself: an environment may have a NAME of its own.
NAME :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_WAIT_POLICY := PASSIVE
unexport PYTHONPATH

.PHONY: help book test references chapter serve lint bench clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

book: $(READY)  ## execute every chapter that changed and render the site to _build/html (TORCH=cpu: no CUDA packages; MEDICAL3D=1: weights for volumes)
	@$(BIN)/medutils book

test: $(READY) lint  ## lint, unit tests, then what runs chapters: their regression, the site in a browser
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow"
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m slow

references: $(READY)  ## keep what the chapters print and find now as what they must, and show what changed (NAME=...: one chapter)
	@$(BIN)/python tests/notebooks/references.py $(NAME)

chapter: $(READY)  ## start a chapter from template/ (NAME=lung_six_class)
	@$(BIN)/python -m template '$(NAME)'

serve: book  ## show the site on http://localhost:8000
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

lint: $(READY)  ## ruff (format and check), mypy, import-linter
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY) $(if $(KERAS),.venv-bench/ready)  ## our code against the write-ups' way, as ratios (KERAS=1: beside Keras too)
	@$(BIN)/python -m bench

# In an environment of its own: TensorFlow and torch need not agree on anything.
.venv-bench/ready: requirements-bench.txt
	@echo "installing requirements-bench.txt into .venv-bench" && $(PYTHON) -m venv .venv-bench
	@if command -v uv >/dev/null; then uv pip install --quiet --python .venv-bench/bin/python -r requirements-bench.txt; \
	else .venv-bench/bin/python -m pip install --quiet -r requirements-bench.txt; fi
	@touch $@

clean:  ## remove what was built (the environment stays; delete .venv to remove that too)
	rm -rf _build

# uv installs several times faster than pip, and is the one that knows PyTorch's CPU packages by name.
$(READY): requirements.txt pyproject.toml
	@echo "installing requirements.txt into $(VENV)" && mkdir -p $(VENV) && date +%s >$(VENV)/started
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifeq ($(TORCH),cpu)
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet uv
	@PATH="$(PATH):$(CURDIR)/$(BIN)" uv pip install --quiet --python $(BIN)/python --torch-backend cpu $(WHAT)
else
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python $(WHAT); \
	else $(BIN)/python -m pip install --quiet $(WHAT); fi
endif
	@printf '%-24s%-12s%7d.0 s\n' environment installed $$(( $$(date +%s) - $$(cat $(VENV)/started) ))
	@rm -f $(VENV)/ready-*
	@touch $@
