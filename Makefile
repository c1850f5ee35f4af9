# `make run` serves the whole product on this machine; `make test` checks all of it. Both install what they need.
.DEFAULT_GOAL := help
.PHONY: help run check test test-all coverage code lint build sbom deploy destroy sam-local bench load audit lock format screenshot clean

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	command -v $$python >/dev/null && $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
SETUP = $(if $(PYTHON),$(PYTHON) infra/setup.py,@echo "Pinch needs Python 3.11 or newer with venv. Install it (on Debian: apt-get install python3-venv) and run make again."; exit 1; true)
BIN = .venv/bin
SAM = .tools/aws-sam-cli/bin
CHECKOV = .tools/checkov/bin/checkov
NODE = PATH="$(CURDIR)/$(BIN):$$PATH"

export PYTHONPATH = functions:.
# Python and pytest keep what they compile, whatever the caller's environment says: a run starts sooner then.
export PYTHONDONTWRITEBYTECODE =
export SAM_CLI_TELEMETRY = 0

# One thread each for OpenBLAS, whose threads wait by spinning. Many tests wait, so two processors have time for three.
PYTEST = OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal
WORKERS = $(shell processors=$$(nproc 2>/dev/null || echo 3); echo $$((processors > 3 ? processors : 3)))
STACK = pinch
ARCHITECTURE = arm64
PARAMETERS =
OPTIONS =

help: ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

run: ## Serve the whole product on http://127.0.0.1:5001 (PORT=... for another port)
	@$(SETUP) local
	@exec $(BIN)/python -m infra.local

check: code ## The inner loop: format, lint, types and unit tests, without browser, emulators or worker processes
	@$(PYTEST) -m unit

test: lint ## Check everything: lint, types, unit, Lambda-runtime and browser tests
	@$(PYTEST)

test-all: lint ## The same with nothing sampled: every combination of the corpus, of hostile files and of pages
	@PINCH_ALL=1 $(PYTEST)

coverage: ## Run the tests with line coverage; fails below the floor in pyproject.toml
	@$(SETUP) dev
	@$(PYTEST) --cov --cov-report=term

code:
	@$(SETUP) dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(NODE) .tools/node/node_modules/.bin/biome ci --colors=off --config-path=infra web tests/web
	$(NODE) .tools/node/node_modules/.bin/tsc --noEmit -p web
	$(NODE) node --test --test-reporter=dot tests/web/*.test.js

lint: code ## Lint and type-check Python, JavaScript and the template
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive functions infra
	$(BIN)/cfn-lint template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(SAM)/sam validate --lint
	mkdir -p build && AWS_DEFAULT_REGION=us-east-1 $(SAM)/python -m infra.transformed >build/template.json
	# CKV_AWS_95: an access log of the gateway would keep addresses. The template gives reasons for its own skips.
	$(CHECKOV) -f build/template.json --framework cloudformation --compact --quiet --skip-download --skip-check CKV_AWS_95

build: ## Build what is deployed into build/functions (ARCHITECTURE=x86_64 for the other processor)
	@$(SETUP) local
	@$(BIN)/python -m infra.build --architecture $(ARCHITECTURE)

sbom: build ## List what is deployed, with licences and hashes, in build/sbom.json (CycloneDX)
	@$(SETUP) sbom
	@$(BIN)/python -m infra.sbom

deploy: build ## Deploy into the AWS account of your credentials, publish the page and print its address
	@$(SETUP) deploy
	$(SAM)/sam deploy --config-file infra/samconfig.toml --template-file template.yaml --stack-name $(STACK) --parameter-overrides Architecture=$(ARCHITECTURE) $(PARAMETERS)
	@$(BIN)/python -m infra.publish $(STACK)

destroy: ## Delete all that make deploy made
	@$(SETUP) deploy
	@$(BIN)/python -m infra.destroy $(STACK)
	$(SAM)/sam delete --config-file infra/samconfig.toml --stack-name $(STACK)

sam-local: ## Serve the product as the SAM CLI emulates it; needs Docker (OPTIONS=... for sam local start-api)
	@$(SETUP) deploy
	@exec $(BIN)/python -m infra.sam_local $(OPTIONS)

bench: ## Measure: cold start, cost, and codecs beside their peers; fails below the bars (QUICK=1 for a first look)
	@$(SETUP) bench
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(OPTIONS)

load: ## Let 50 users at Gunicorn and S3 on this machine; fails on errors and leaks (QUICK=1 for a first look)
	@$(SETUP) load
	@$(BIN)/python -m tests.load $(if $(QUICK),--quick)

audit: ## Measure the page by Lighthouse and axe; fails below the bars
	@$(SETUP) audit
	@$(BIN)/python -m infra.audit

lock: ## Pin what the requirements bring, by version and hash, in requirements/locks/ (OPTIONS=... for uv pip compile)
	@$(SETUP) lock
	@.tools/uv/bin/python -m infra.lock $(OPTIONS)

format: ## Format all code, and write the tables of the docs
	@$(SETUP) dev
	$(BIN)/python -m infra.docs
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(NODE) .tools/node/node_modules/.bin/biome check --write --config-path=infra web tests/web

screenshot: ## Take the screenshots of the docs again
	@$(SETUP) dev
	@$(BIN)/python -m infra.screenshot

clean: ## Remove what was installed and made
	rm -rf .venv .tools build .coverage .pytest_cache .mypy_cache .ruff_cache
