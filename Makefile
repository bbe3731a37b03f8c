# All commands of the project: `make` alone lists them. Each command first installs what it needs.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# The user's Python: the one that made .venv, else the first of a supported version. All other
# commands run in environments that it creates. Lambda runs 3.11 to 3.14.
made_with := $(shell sed -n 's/^executable = //p' .venv/pyvenv.cfg 2>/dev/null)
supported := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for each in $(made_with) python3 python3.13 python3.12 python3.14 python3.11; do \
	"$$each" -c '$(supported)' 2>/dev/null && echo "$$each" && break; done)

# Settings that the tools read from the environment.
export PORT CLOUD_PORT CLOUD_HOME PARAMETERS FOLLOW LINES_SHOWN GREP ALL FUNCTION SAM NAME SCOPES FOR
export ENV YES CHAOS_SEED CHAOS_DELIVERIES CASES SCENARIOS SEED CREDENTIALS

# Images of containers set it. Without bytecode each of our thousand processes compiles what it
# imports.
unexport PYTHONDONTWRITEBYTECODE

bin := .venv/bin
python := $(bin)/python

##@ Run locally

.PHONY: help
help: ## List the commands
	@awk '/^##@ / { printf "\n%s:\n", substr($$0, 5) } \
	  match($$0, /^[a-z-]+:.*## /) { split($$0, name, ":"); \
	    printf "  make %-15s  %s\n", name[1], substr($$0, RLENGTH + 1) }' $(MAKEFILE_LIST)
	@echo
	@echo 'Settings:'
	@echo '  PORT=8080 CLOUD_PORT=4566          ports of the service and the local cloud, for make up and demo'
	@echo '  CLOUD_HOME=.local                  folder of data and logs; another folder is another service'
	@echo '  PARAMETERS="Key=Value …"           template parameters for make up'
	@echo '  CHAOS_SEED=7 CHAOS_DELIVERIES=500  seed and number of deliveries of make chaos'
	@echo '  PYTHON=/path/to/python3.13         Python that builds and runs everything (3.11 to 3.14)'

.PHONY: up
up: setup ## Start the service: http://localhost:8080
	@$(python) -m tools.cloud up

.PHONY: demo
demo: setup ## Run a guided demo
	@$(python) -m tools.demo

.PHONY: status
status: setup ## Show the running processes and their addresses
	@$(python) -m tools.cloud status

.PHONY: logs
logs: setup ## Show and follow the log (GREP=text filters; FOLLOW=0; ALL=1: all processes, unfiltered)
	@$(python) -m tools.cloud logs

.PHONY: key
key: setup ## Create an API key for a service (NAME=… SCOPES="…" FOR=user)
	@$(python) -m tools.api_key

.PHONY: down
down: setup ## Stop the service; its data is kept
	@$(python) -m tools.cloud down

.PHONY: clean
clean: setup ## Stop the service, and delete its builds, data and logs
	@$(python) -m tools.cloud clean

##@ Test and measure

.PHONY: test
test: setup ## Run all static checks, then all tests (10 min)
	@$(MAKE) --no-print-directory --jobs 2 check clients
	@$(bin)/pytest -n 4 --dist loadfile --no-loadscope-reorder --cov

.PHONY: console-test
console-test: setup ## Test the console in every width, theme and language (3 min)
	@CONSOLE_MATRIX=1 $(bin)/pytest -n 3 --dist loadfile tests/console

.PHONY: fuzz
fuzz: setup ## Search for a violated delivery guarantee (40 min; SCENARIOS=20000 SEED=1)
	@$(python) -m tests.player --scenarios $${SCENARIOS:-20000} $${SEED:+--seed "$$SEED"}
	@$(bin)/pytest tests/unit/delivery/test_promises.py tests/unit/delivery/test_scenarios.py \
	  --hypothesis-profile=long --timeout=0

.PHONY: fuzz-api
fuzz-api: setup ## Send generated requests to the running API (CASES=5000 SEED=1)
	@$(python) -m tests.fuzz_api

.PHONY: chaos
chaos: setup ## Deliver 2,000 messages under faults and crashes; count losses (10 min)
	@$(python) -m evidence.chaos

.PHONY: added
added: setup ## Run the tests that need no cloud in a copy with an eighth integration (4 min)
	@$(python) -m tests.added_integration

.PHONY: mutants
mutants: setup ## Check that the unit tests detect 38 of 40 changed operators and constants
	@$(python) -m tests.mutation_check

.PHONY: bench
bench: setup ## Compare measured speed with its budgets (10 min; ROWS="cold warm": only these)
	@$(python) -m evidence.bench $(ROWS)

.PHONY: screenshots
screenshots: setup ## Photograph the console and /docs of the running service in Chromium
	@$(python) -m tests.console.pictures
	@$(python) -m tests.console.api_pictures

##@ Static checks

.PHONY: check
check: types secrets template prose lint imports document hosts vendored ## Run all static checks

.PHONY: lint
lint: setup ## Check style and format
	@$(bin)/ruff check --quiet
	@$(bin)/ruff format --check --quiet || { echo 'Some files are not formatted: make format' >&2; exit 1; }

.PHONY: types
types: setup ## Check types
	@$(bin)/mypy --no-error-summary

.PHONY: imports
imports: setup ## Check the direction of imports
	@$(bin)/lint-imports --no-logo >/dev/null || $(bin)/lint-imports --no-logo

.PHONY: template
template: setup ## Check template.yaml
	@$(bin)/cfn-lint template.yaml
	@AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .local/sam/bin/sam validate --lint >/dev/null

.PHONY: document
document: setup ## Check that generated parts of the docs match the code
	@$(python) -m tools.generate --check

# Where packages come from is each user's own setting. [.] keeps this line from matching itself.
registry_hosts := pypi[.](org|io|python[.]org)|pythonhosted[.]org|npmjs[.](org|com)|yarnpkg[.]com|deb[.]debian[.]org|crates[.]io|proxy[.]golang[.]org|rubygems[.]org

.PHONY: hosts
hosts: setup ## Check that no file names the host of a package registry
	@git grep --untracked -nIiE '$(registry_hosts)' >&2 && exit 1 || [ $$? -eq 1 ]

# Tokens and keys with a known format are found everywhere, values of names such as
# `password` only in what ships: tests are full of made-up ones. `pragma: allowlist secret` allows one.
detect_secrets = $(bin)/detect-secrets-hook --no-verify \
  $(addprefix --disable-plugin=,Base64HighEntropyString HexHighEntropyString IPPublicDetector \
  TelegramBotTokenDetector)

.PHONY: secrets
secrets: setup ## Check that no file contains a secret
	@git ls-files -z --cached --others --exclude-standard ':!tests/data/bad_inputs.json' ':!*[.]lock' \
	  | xargs -0 $(detect_secrets) --disable-plugin=KeywordDetector
	@git ls-files -z --cached --others --exclude-standard functions layers samconfig.toml \
	  ':!*[.]lock' ':!*/openapi.json' \
	  | xargs -0 $(detect_secrets)

.PHONY: prose
prose: setup ## Check the words of docs, docstrings and comments
	@$(python) -m tools.prose

.PHONY: vendored
vendored: setup ## Check that the console's libraries are the bytes of their lock
	@$(python) -m tools.vendor --check

.PHONY: audit
audit: setup ## Compare the locks with published advisories (needs the network)
	@"$(PYTHON)" -m tools.bootstrap audit lock
	@$(python) -m tools.npm_audit
	@for lock in $$($(python) -m tools.locks --list); do echo "audit: $$lock"; \
	  .local/audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes \
	  --requirement "$$lock"; done

##@ Generate

.PHONY: format
format: setup ## Format the code, and fix style errors that can be fixed automatically
	@$(bin)/ruff check --fix --quiet || true
	@$(bin)/ruff format --quiet

.PHONY: generate
generate: setup ## Write everything that is made from the code, after a new integration
	@$(python) -m tools.generate

.PHONY: openapi
openapi: setup ## Generate docs/openapi.json from the code
	@$(python) -m tools.generate docs/openapi.json

.PHONY: event-catalogue
event-catalogue: setup ## Generate the log events, metrics and states in the docs from the code
	@$(python) -m tools.generate docs/operations.md docs/architecture.md

.PHONY: lock
lock: setup ## Update all locks after a change of requirements (UPGRADE=1: newest versions)
	@"$(PYTHON)" -m tools.bootstrap lock
	@$(python) -m tools.locks $(if $(UPGRADE),--upgrade)

.PHONY: vendor
vendor: setup ## Copy the console's libraries from npm, as their lock names them
	@$(python) -m tools.vendor

##@ Build and deploy

.PHONY: build
build: setup ## Build functions and layers with sam into .aws-sam/build
	@$(python) -m tools.build

.PHONY: deploy
deploy: setup ## Build and deploy to AWS (ENV=dev or prod; YES=1 skips the confirmation)
	@$(python) -m tools.deploy

.PHONY: sam-local
sam-local: setup ## Invoke every function with sam local; needs Docker or Finch (FUNCTION=name: only this one)
	@$(python) -m tools.sam_local

##@ Environments

.PHONY: setup
setup: ## Create .venv and .local/ from the locks (every command does this)
	@[ -n "$(PYTHON)" ] || { \
	  echo 'Python 3.11 to 3.14 is needed. Install one (on Debian 12: apt-get install python3),' >&2; \
	  echo 'or name it: make PYTHON=/path/to/python3.13' >&2; exit 1; }
	@"$(PYTHON)" -m tools.bootstrap

.PHONY: clients
clients: ## Create .local/clients: the API client generators for test
	@"$(PYTHON)" -m tools.bootstrap clients
