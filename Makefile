# Two commands do everything on a fresh machine: make verify, make test.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# What `make verify` needs, and what the tests and the linters need in addition.
VERIFY_STAMP := .venv/.installed-for-verify
STAMP := .venv/.installed

.PHONY: verify test lint packages bench corpus field field-clients field-logs field-pages field-protocols field-servers site clean

$(VERIFY_STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

$(STAMP): $(VERIFY_STAMP)
	$(PIP) --editable '.[load,mcp,otel,prometheus,test,playwright,dev]'
	@touch $@

verify: $(VERIFY_STAMP)
	$(BIN)/wscheck verify --format terminal --format html=reports/verify.html

# More workers than two cores: most tests wait. What is compiled is kept, whatever the environment says.
test: $(STAMP)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Cases modelled on public reports, with their expected results (tests/field).
field: field-logs field-pages field-clients field-protocols field-servers

# Logs of backends, collectors and frameworks with their expected results.
field-logs: $(STAMP)
	$(PYTHON) tests/field/logs/score.py $(BIN)/wscheck

# Pages with their expected results; the first run builds them.
field-pages: $(STAMP) tests/field/pages/public/dev
	$(PYTHON) tests/field/pages/score.py $(BIN)/wscheck -j 2

tests/field/pages/public/dev: tests/field/pages/package-lock.json
	cd tests/field/pages && npm ci --silent --no-audit --no-fund && npm run --silent build
	@touch $@

# Pages with the client libraries of other protocols, with their expected results.
field-clients: $(STAMP) tests/field/clients/public
	$(PYTHON) tests/field/pages/score.py $(BIN)/wscheck --corpus tests/field/clients -j 2

tests/field/clients/public: tests/field/clients/package-lock.json
	cd tests/field/clients && npm ci --silent --no-audit --no-fund && npm run --silent build
	@touch $@

# Pages of protocols on WebSocket, with the clients that applications use.
field-protocols: $(STAMP) tests/field/protocols/public/dev
	$(PYTHON) tests/field/pages/score.py $(BIN)/wscheck --corpus tests/field/protocols

tests/field/protocols/public/dev: tests/field/protocols/package-lock.json
	cd tests/field/protocols && npm ci --silent --no-audit --no-fund && npm run --silent build
	@touch $@

# Servers on foreign stacks, with their expected results; the first run installs what they need.
field-servers: $(STAMP)
	$(PYTHON) tests/field/servers/score.py $(BIN)/wscheck

# The npm packages, built and tested as a project has them, with the installed Chromium. npm does not notice that the
# content of a folder changed, so the installed copies are removed. An optional dependency that a registry lacks makes
# `npm ci` fail, therefore `npm install`.
packages: $(VERIFY_STAMP)
	cd examples/bot-dashboard && { [ -d node_modules ] || npm ci --silent; } && npm run --silent build
	cd packages && npm ci --silent && npm run --silent build
	cd packages/tests && rm -rf node_modules/wscheck node_modules/@wscheck && npm install --silent --no-save
	cd packages/tests && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm test --silent

# The documentation as a site. Links and headings that do not exist make it fail.
site: $(VERIFY_STAMP)
	$(PIP) --editable '.[site]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

bench: $(STAMP)
	$(BIN)/python -m bench

# Published applications with their expected results; the first run installs them from npm and PyPI.
corpus: $(STAMP)
	$(BIN)/python -m corpus

clean:
	rm -rf .venv reports/*.html reports/*.json reports/*.ndjson reports/*.xml
