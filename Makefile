# make run_tests: the conformance run on the running kernel; with KERNEL=, on whatever kernel python -m vm run takes, in a
# virtual machine. make check: the suite's own tests, as far as they are quick; make check_long: the others; make
# check_vm: those that boot virtual machines.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Of an environment whose Python is gone or was moved, nothing works but its deletion.
BROKEN := $(shell [ ! -e $(VENV)/ready ] || $(BIN)/python -c 'import pytest' 2>/dev/null || echo anew)
OLD = import sys; v = sys.version_info[:2]; \
	sys.exit(0 if v >= (3, 11) else 'this Python is %d.%d: 3.11 or later is needed, named as PYTHON=' % v)

# The commands are run in the checkout, and find it there.
unexport PYTHONSAFEPATH PYTHONHOME

.PHONY: run_tests check check_long check_vm setup clean pagemap_scan.c

run_tests: setup
ifdef KERNEL
	$(BIN)/python -m vm run '$(KERNEL)' $(if $(ARGS),-- $(ARGS))
else
	$(BIN)/python -m pytest -q -n auto --html=report.html --self-contained-html --junit-xml=report.xml $(ARGS)
endif

check: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n auto -m "not boots and not long" helpers/tests vm/tests $(ARGS)

check_long: setup
	$(BIN)/python -m pytest -q -n auto -m long -o timeout=600 helpers/tests vm/tests $(ARGS)

# The tests of the harness that boot virtual machines, some 15 of them: needs QEMU, Debian's archive once, and minutes.
check_vm: setup
	$(BIN)/python -m pytest -q -n 2 -m boots vm/tests $(ARGS)

# The whole suite as one C program, for machines without Python.
pagemap_scan.c: setup
	$(BIN)/python -m pytest -q -n 0 --stub faithful --write-suite=$@

setup: $(VENV)/ready
	@$(BIN)/python -m helpers.interface.build

$(VENV)/ready: requirements.txt $(BROKEN)
	@$(PYTHON) -c "$(OLD)"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.PHONY: anew
anew:

clean:
	rm -rf $(VENV) helpers/interface/_build report.html report.xml check_long.xml check_vm.xml failures pagemap_scan pagemap_scan.c
