# One gate, the same for everybody: `make test`. One path for a newcomer: `make demo`.
# A bare `make` prints what there is. The first call sets up .venv; later calls start at once.

# The first of these that avsync can use, or the one you name: make setup PYTHON=/path/to/python
FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null
MENDED := -c 'import re, sys, torch; sys.exit(tuple(map(int, re.findall("[0-9]+", torch.__version__)[:2])) < (2, 10))'
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do $$p $(FITS) && echo $$p && exit; done; echo python3)
VENV := .venv
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin

# TORCH=keep: .venv sees PYTHON's own packages, and its torch (a cluster's build, say) stays; later calls remember it.
TORCH ?= $(if $(wildcard $(VENV)/.complete-keep),keep,pinned)
ifeq ($(filter $(TORCH),pinned keep),)
$(error TORCH=$(TORCH) is not known; choose pinned or keep)
endif
STAMP := $(VENV)/.complete-$(TORCH)
# Neighbours in a file share what they set up, and nobody idles at the end.
PYTEST_FLAGS ?= -n 2 --dist worksteal
# Each worker has a cluster of its own, and waits for it most of the time: four keep two cores busy.
SLURM_FLAGS ?= $(if $(findstring -n,$(PYTEST_FLAGS)),-n 4 --dist loadfile)

RESOLVE := pyproject.toml --quiet --upgrade --extra dev --only-binary :all: --no-header --no-annotate

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup test lint types slurm pytest renew demo replay cluster-demo gpu-wheels format clean

help:  ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv and install the tested set (TORCH=keep: with the torch that PYTHON has)
	@:

# The stamp is written last: an interrupted install leaves none, and the next call starts from an empty .venv.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) $(FITS) || { echo "avsync needs Python 3.11 to 3.14; $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>/dev/null || echo not found). Name one: make setup PYTHON=python3.12" >&2; exit 1; }
ifeq ($(TORCH),keep)
	@test -f $@ || $(PYTHON) -m venv --clear --system-site-packages $(VENV)
	@$(BIN)/python -c 'import torch' 2>/dev/null || { echo "TORCH=keep: no torch to keep: $(PYTHON) has none that a" \
	    "virtual environment made from it can see. Load its module first, or name the Python that has it" >&2; exit 1; }
	@$(BIN)/python $(MENDED) || { echo "TORCH=keep: the torch of $(PYTHON) is older than 2.10, in which a checkpoint made for" \
	    "it can run code as it is read. Load a newer one, or: make setup TORCH=pinned" >&2; exit 1; }
	@{ grep -v '^torch' $(CONSTRAINTS); $(BIN)/python -c 'import torch; print("torch==" + torch.__version__)'; } \
	    > $(VENV)/constraints.txt
else
	@test -f $@ || $(PYTHON) -m venv --clear $(VENV)
	@cp $(CONSTRAINTS) $(VENV)/constraints.txt
endif
	@rm -f $(VENV)/.complete-*
	@echo "installing into $(VENV): once, a few minutes"
	@$(BIN)/python -m pip install --quiet -c $(VENV)/constraints.txt -e '.[dev]'
	@touch $@

test: lint types pytest  ## the gate: format, lint, types, tests; works offline after setup

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/basedpyright --pythonpath $(BIN)/python

slurm: setup  ## get SLURM's packages for the tests on a real cluster: installed as root, else unpacked into .slurm/
	@$(BIN)/python -m slurm.cluster install

# The tests on the cluster mostly wait, and need the cores when they do not: they do not share them with the others. They
# go first, so that the last line counts the many. A part that -k leaves empty (5) is no failure; nothing at all is.
pytest: slurm
	@echo "the tests on a real cluster:"
	@$(BIN)/python -m pytest -m slurm $(PYTEST_FLAGS) $(SLURM_FLAGS); first=$$?; \
	    echo "all other tests:"; \
	    $(BIN)/python -m pytest -m "not slurm" $(PYTEST_FLAGS); second=$$?; \
	    case $$first,$$second in 0,0|0,5|5,0) ;; *) exit 1;; esac

# One set for all Pythons: resolved for the oldest, and each of the others must be able to have it as wheels. What torch
# pins itself is left out. The gate then runs on PYTHON, in a folder of its own; red leaves constraints.txt as it is.
HOLD ?=
renew:  ## resolve the newest set anew, test it, and only when all is green write constraints.txt (HOLD='torch<=2.14.1')
	$(PYTHON) -m venv --clear .renew/uv
	.renew/uv/bin/python -m pip install --quiet uv
	@printf '%s\n' $(foreach held,$(HOLD),'$(held)') > .renew/hold.txt
	.renew/uv/bin/uv pip compile $(RESOLVE) --universal --fork-strategy fewest --python-version 3.11 \
	    --constraints .renew/hold.txt --output-file .renew/resolved.txt
	@{ sed '/^[^#]/,$$d' constraints.txt; sed 's/ *;.*//' .renew/resolved.txt | \
	    grep -vE '^(cuda-|nvidia-[^m]|triton==)' | sort; } > .renew/constraints.txt
	for version in 3.11 3.12 3.13 3.14; do .renew/uv/bin/uv pip compile $(RESOLVE) --python-version $$version \
	    --python-platform x86_64-manylinux_2_28 --constraints .renew/constraints.txt \
	    --output-file .renew/$$version.txt || exit 1; done
	$(MAKE) test VENV=.renew/venv CONSTRAINTS=.renew/constraints.txt TORCH=pinned
	cp .renew/constraints.txt constraints.txt
	@git --no-pager diff --stat constraints.txt

demo: setup  ## the whole path on generated scenes, about 10 minutes on two cores; ends by saying what to open
	$(BIN)/avsync demo

replay: setup  ## the thesis's history on scenes: networks that cheat, an alarm, and the cure; about 20 minutes on two cores
	$(BIN)/avsync replay

cluster-demo: slurm  ## a run that survives two preemptions, on a real SLURM cluster of this machine; about four minutes
	@$(BIN)/python -m slurm.demo

GPU_WHEELS ?= gpu-wheels
gpu-wheels: setup  ## wheels for `python3 -m benchmarks.gpu` on a machine with torch and no network (Python 3.12, x86-64)
	@$(BIN)/python -m benchmarks.gpu.wheels $(GPU_WHEELS)

format: setup  ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove .venv, caches and the folders of demos
	rm -rf $(VENV) .renew .slurm .pytest_cache .ruff_cache .hypothesis demo replay cluster-demo gpu-wheels build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
