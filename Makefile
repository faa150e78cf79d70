# `make demo` and `make test` need Python 3.11 or newer with pip, and make. All else goes into .venv, at the versions of
# constraints.txt; nothing outside this folder is changed. Settings: PYTHON=python3.12 (the interpreter that .venv is
# made with; else the first that fits), ARGS="..." (handed to the demo or to pytest).

# From 3.11 to the newest Python for which the torch of constraints.txt is built: raise it with torch's line there.
FITS := (3, 11) <= sys.version_info[:2] <= (3, 14)
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$name -c 'import sys; sys.exit(not $(FITS))' 2>/dev/null && echo $$name && exit; done; echo python3)
ARGS :=
TESTED := demo,dev,train,trainers,cluster,onnx,gguf,decode,exports,designs,viz,docs,serve,peers
CPU_INDEX := https://download.pytorch.org/whl/cpu
PIP := .venv/bin/python -m pip install -qq -c constraints.txt

# What the user's shell says of Python and pip must not lead imports or packages out of .venv, nor into it; and without
# bytecode every process of the tests would compile all modules anew.
unexport PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PYTHONDONTWRITEBYTECODE
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Runs on any Python, however old, so that an old one gets a sentence and not a syntax error.
define CHECK
import sys
if not $(FITS):
    sys.exit("walras needs Python 3.11 or newer, and its pinned torch ends at 3.14; %s is Python %d.%d. "
             "Name another: make PYTHON=python3.12 ..." % ((sys.argv[1],) + sys.version_info[:2]))
endef
export CHECK

# Exit code 0 if the address answers within 3 seconds. A thread, because looking up the name knows no time limit.
define ANSWERS
import os, sys, threading, urllib.request
def ask():
    with urllib.request.urlopen(sys.argv[1], timeout=3) as reply:
        os._exit(0 if reply.status == 200 else 1)
threading.excepthook = lambda failure: os._exit(1)
threading.Thread(target=ask, daemon=True).start()
threading.Event().wait(3)
os._exit(1)
endef
export ANSWERS

# A worker a core, at most 8 (each holds a copy of torch); on one core pytest's own process does.
define WORKERS
import os
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
print("-n %d --dist worksteal" % min(cores, 8) if cores > 1 else "")
endef
export WORKERS

.PHONY: help demo test nightly check docs constraints clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*##/make \1:/p' Makefile

demo: .venv/installed  ## the market on a real transformer: three rules, two budgets, report.html
	@.venv/bin/python -m walras.experiments.cli.demo $(ARGS)

# pytest by its own name: `python -m pytest` would put this folder on the path and let a stray `import agents` succeed.
test: .venv/tested  ## all tests, a worker a core; WALRAS_DATA=folder adds those on real data
	@OMP_NUM_THREADS=1 .venv/bin/pytest $$(.venv/bin/python -c "$$WORKERS") $(ARGS)

nightly: .venv/tested  ## the long half as well: over an hour on two cores; ends with how many faults were tried
	@HYPOTHESIS_PROFILE=nightly $(MAKE) --no-print-directory test

check: .venv/tested  ## lint, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy -p walras
	.venv/bin/mypy tests

# Tutorials and examples are run anew, two pages at a time.
docs: .venv/documented  ## the documentation, into build/docs; warnings and dead links are errors
	@HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 .venv/bin/sphinx-build -q -E -W --keep-going -j 2 -d build/doctrees docs build/docs
	@.venv/bin/python docs/doc_tools/check_links.py build/docs

# The stamp holds the folder that was set up: a copied or moved checkout must not run the code of the old one.
ifneq ($(shell .venv/bin/python -c 'print(open(".venv/installed").read())' 2>/dev/null),$(CURDIR))
.PHONY: .venv/installed
endif

# .venv/unfinished holds the process that writes packages, for as long as it does: a .venv left with it is begun anew.
# Python goes first where .venv is removed, so that a removal cut short leaves nothing that passes for whole.
.venv/installed: pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { echo 'walras needs Python 3.11 or newer, and "$(PYTHON)" is no' \
	  'command here. Name another: make PYTHON=python3.12 ...' >&2; exit 1; }
	@"$(PYTHON)" -c "$$CHECK" "$(PYTHON)"
	@case "$$(ps -o comm= -p "$$(cat .venv/unfinished 2>/dev/null)" 2>/dev/null)" in *make) \
	  echo "Another make is setting up .venv: try again when it is done" >&2; exit 1;; esac
	@if [ -e .venv/unfinished ] || ! .venv/bin/python -c "$$CHECK" .venv 2>/dev/null \
	  || { [ -e .venv/installed ] && [ "$$(cat .venv/installed)" != "$(CURDIR)" ]; }; then \
	  rm -f .venv/bin/python && rm -rf .venv; fi
	@mkdir -p .venv && echo $$PPID > .venv/unfinished && rm -f .venv/installed
	@if [ ! -x .venv/bin/python ]; then \
	  echo "Setting up .venv with $$("$(PYTHON)" --version)"; \
	  "$(PYTHON)" -m venv .venv >/dev/null 2>&1 || { \
	    "$(PYTHON)" -m venv --without-pip .venv && "$(PYTHON)" -m pip --python .venv/bin/python install -qq pip; }; fi
	@index=; if [ "$$(uname -s)" != Linux ]; then echo "Installing PyTorch"; \
	elif nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then \
	  echo "Installing PyTorch for the NVIDIA GPU, as pip is set up (2.7 GB from PyPI)"; \
	elif .venv/bin/python -c "$$ANSWERS" $(CPU_INDEX)/torch/; then \
	  echo "Installing PyTorch for the CPU (0.2 GB): no NVIDIA GPU found"; index="--extra-index-url $(CPU_INDEX)"; \
	else \
	  echo "Installing PyTorch as pip is set up (2.7 GB if that is PyPI): $(CPU_INDEX) does not answer"; \
	fi; $(PIP) $$index torch
	@echo "Installing the other packages (0.2 GB)"
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation -e '.[demo]'
	@rm .venv/unfinished && echo "$(CURDIR)" > .venv/installed

# Whatever tests and checks need besides, so that nothing is skipped for a missing package. Each package is built with
# tools of its own: one of solara's comes as source where there is no wheel.
.venv/tested: .venv/installed
	@echo "Installing what the tests need (0.4 GB)"
	@echo $$PPID > .venv/unfinished && rm -f .venv/tested
	@$(PIP) -e '.[$(TESTED)]'
	@rm .venv/unfinished && touch .venv/tested

.venv/documented: .venv/installed
	@echo "Installing what the documentation is built with (0.1 GB)"
	@echo $$PPID > .venv/unfinished && rm -f .venv/documented
	@$(PIP) --no-build-isolation -e '.[demo,docs,train]'
	@rm .venv/unfinished && touch .venv/documented

constraints:  ## rewrite constraints.txt: the newest versions that pyproject.toml allows on Python 3.11
	@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info[:2] != (3, 11) and 'make constraints needs Python 3.11, \
	the oldest that walras runs on: make constraints PYTHON=python3.11')"
	@rm -rf build/constraints && "$(PYTHON)" -m venv build/constraints
	@build/constraints/bin/python -m pip install -qq --upgrade setuptools
	@build/constraints/bin/python -m pip install -qq -e '.[$(TESTED)]' "$$(grep '^torch==' constraints.txt)"
	@grep '^#' constraints.txt > build/constraints.txt
	@build/constraints/bin/python -m pip freeze --all --exclude-editable --exclude pip \
	  | sed -E '/^(nvidia-|cuda-|triton==)/d; s/^(torch==[^+]*)\+.*/\1/' >> build/constraints.txt
	@mv build/constraints.txt constraints.txt && rm -rf build/constraints

clean:  ## remove .venv, builds and caches; runs/ stays
	rm -f .venv/bin/python
	rm -rf .venv build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
