# Two commands do everything:   make report   and   make test
#   make report DATA=dir OUT=dir   takes your own files
PYTHON ?= python3
DATA ?=
OUT ?= report
# The target's column of DATA's table, where its names do not tell.
TARGET ?=
# Tests run in so many processes, a file of tests in one of them.
JOBS ?= 2
BIN := .venv/bin
PYTEST = -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
# What decides whether the environment must be installed again.
SPEC := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help report studio test docs book screens trust fuzz coverage audit chromium lint bench clean

help:
	@echo "make report [DATA=dir] [OUT=dir] [TARGET=column]   fit every model and write the PDF and HTML (OUT, default ./report)"
	@echo "make studio [DATA=dir]             open every model in the browser, to move by hand"
	@echo "make test                          ruff, mypy and pytest"
	@echo "make docs                          write the site to docs/_build/html (docs/_build/html/index.html opens it)"
	@echo "make book                          the same, each example of the gallery run and pictured"
	@echo "make screens                       the pictures of the studio's rooms that tests hold the page to"
	@echo "make trust                         the long versions of the tests of trust, and their figures"
	@echo "make fuzz                          20,000 broken files of every format, and 20,000 tables in every form"
	@echo "make coverage                      the tests again, and which lines and branches they ran"
	@echo "make audit                         known vulnerabilities of what is installed (asks PyPI)"
	@echo "make bench                         the benchmark tables"
	@echo "make clean                         remove .venv and caches"

report: .venv/.installed
	$(BIN)/ancestral report $(if $(DATA),"$(DATA)") $(if $(TARGET),--target "$(TARGET)") -o "$(OUT)"

studio: .venv/.installed
	$(BIN)/ancestral studio $(if $(DATA),"$(DATA)")

test: lint chromium
	$(BIN)/python $(PYTEST)

# Without a warning, and without a network: figures are drawn by the code on the page.
docs: .venv/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

book: .venv/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html -D plot_gallery=1 docs docs/_build/html

# After a room was changed on purpose: look at what differs before it is kept.
screens: .venv/.installed-dev chromium
	$(BIN)/python -m tests.studio.make_screens

# Where the tests of trust are: bad inputs row by row, saved files, killed runs, calibration,
# clusters that misbehave, and files larger than a worker's memory.
TRUST := tests/trust tests/test_model_file.py tests/test_course.py tests/report \
	tests/streaming/test_cluster.py tests/streaming/test_distributed.py

trust: lint chromium
	$(BIN)/python $(PYTEST) --long $(TRUST)

fuzz: .venv/.installed-dev
	$(BIN)/python -m pytest --long tests/trust/test_fuzz.py tests/trust/test_fuzz_frames.py

# Readers of files are held to more than the rest.
coverage: .venv/.installed-dev chromium
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --fail-under=90
	$(BIN)/coverage report --skip-covered --include='*/ancestral/io/*' --fail-under=95

# Strict: a package that the service does not know fails the audit instead of passing unseen. First a
# version with a known advisory is asked about: a mirror without advisories must not look clean.
# The recipe ends with 0: none known; 1: some found, or a package unknown; 3: no service answered.
# (make itself then ends with 2, and prints the recipe's code.)
AUDIT = .venv/audit/bin/pip-audit --no-deps --disable-pip --progress-spinner off
KNOWN := PYSEC-2023-228|CVE-2023-5752|GHSA-mq26-g339-26xf
audit: .venv/.installed-dev
	@test -x .venv/audit/bin/pip-audit || { $(BIN)/python -m venv .venv/audit && .venv/audit/bin/pip install -q pip-audit; }
	@echo 'pip==23.0' > .venv/audit/known.txt
	@$(AUDIT) -r .venv/audit/known.txt 2>&1 | grep -qE '$(KNOWN)' || { echo "Nothing was audited: no service of PyPI's advisories could be reached from here. Run make audit on a machine that reaches it."; exit 3; }
	$(BIN)/pip list --disable-pip-version-check --format=freeze --exclude-editable | sed 's/+.*//' > .venv/audit/installed.txt
	$(AUDIT) --strict -r .venv/audit/installed.txt

# The studio's page is tested in the system's browser: installed where that takes no question.
chromium:
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get && timeout 300 apt-get install -y -q chromium; } \
	|| echo "No Chromium: the tests of the studio's page will be skipped (Debian: apt install chromium)."

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks

.venv/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: install Python 3.11 or newer (Debian: apt install python3)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: name a newer one, e.g. make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing (Debian: apt install python3-venv)."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/pip $(SPEC)
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

.venv/.installed-dev: .venv/.installed $(SPEC)
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

clean:
	rm -rf .venv docs/_build docs/gallery .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
