# The whole workshop: `make` alone lists the commands. Each command first sets up what it needs.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# The user's Python: the one that made .venv, else the first that serves. All else runs in
# environments made from it. Lambda runs 3.11 to 3.14.
made_with := $(shell sed -n 's/^executable = //p' .venv/pyvenv.cfg 2>/dev/null)
supported := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for each in $(made_with) python3 python3.13 python3.12 python3.14 python3.11; do \
	"$$each" -c '$(supported)' 2>/dev/null && echo "$$each" && break; done)

# Settings that the tools read from the environment.
export PORT CLOUD_PORT CLOUD_HOME PARAMETERS FOLLOW LINES_SHOWN GREP ALL FUNCTION SAM NAME SCOPES FOR
export ENV YES CHAOS_SEED CHAOS_DELIVERIES CASES SCENARIOS SEED CREDENTIALS

bin := .venv/bin
python := $(bin)/python

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' \
	  | while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done
	@echo
	@echo '  PORT=8080 CLOUD_PORT=4566   ports of the service and the local cloud, for make up and demo'
	@echo '  CLOUD_HOME=.local           folder of data and logs: another one is a second service'
	@echo '  PARAMETERS="Key=Value …"    template parameters for make up'
	@echo '  CHAOS_SEED=7 CHAOS_DELIVERIES=500  what make chaos sends'
	@echo '  PYTHON=/path/to/python3.13  the Python that builds and runs everything (3.11 to 3.14)'

.PHONY: setup
setup: ## Create .venv and .local/ from the locks (every command does)
	@[ -n "$(PYTHON)" ] || { \
	  echo 'Python 3.11 to 3.14 is needed. Install one (on Debian 12: apt-get install python3),' >&2; \
	  echo 'or name it: make PYTHON=/path/to/python3.13' >&2; exit 1; }
	@"$(PYTHON)" -m tools.bootstrap

.PHONY: faults
faults: ## Create .local/faults, which makes AWS faulty for chaos and test
	@"$(PYTHON)" -m tools.bootstrap faults

.PHONY: clients
clients: ## Create .local/clients, with which test generates API clients
	@"$(PYTHON)" -m tools.bootstrap clients

.PHONY: build
build: setup ## Build functions and layers with sam into .aws-sam/build
	@$(python) -m tools.build

.PHONY: up
up: setup ## Run the service on this machine: http://localhost:8080
	@$(python) -m tools.cloud up

.PHONY: down
down: setup ## Stop it; the data stays
	@$(python) -m tools.cloud down

.PHONY: status
status: setup ## Show what runs, and where
	@$(python) -m tools.cloud status

.PHONY: logs
logs: setup ## Show the log and follow it (GREP=text FOLLOW=0; ALL=1: of every process, as written)
	@$(python) -m tools.cloud logs

.PHONY: key
key: setup ## Make a key for a service (NAME=… SCOPES="…" FOR=user)
	@$(python) -m tools.api_key

.PHONY: demo
demo: setup ## Run the main job and tell what happens
	@$(python) -m tools.demo

.PHONY: chaos
chaos: setup faults ## Deliver 2,000 messages under faults and crashes; count what is lost (10 min)
	@$(python) -m tools.chaos

.PHONY: deploy
deploy: setup ## Build, and deploy to AWS: ENV=dev or ENV=prod (YES=1 asks nothing)
	@$(python) -m tools.deploy

.PHONY: sam-local
sam-local: setup ## Invoke every function with sam local; needs Docker or Finch (FUNCTION=name: one)
	@$(python) -m tools.sam_local

.PHONY: test
test: check faults clients ## Check everything, then run every test
	@$(bin)/pytest -n 3 --dist loadfile --no-loadscope-reorder --cov

.PHONY: fuzz
fuzz: setup ## Search for a broken promise of delivery, for about 40 minutes (SCENARIOS=20000 SEED=1)
	@$(python) -m tests.player --scenarios $${SCENARIOS:-20000} $${SEED:+--seed "$$SEED"}
	@$(bin)/pytest tests/unit/delivery/test_promises.py --hypothesis-profile=long --timeout=0

.PHONY: added
added: setup faults ## Run all tests that need no cloud in a copy that has an eighth integration
	@$(python) -m tools.added_integration

.PHONY: mutants
mutants: setup ## Check that the unit tests catch 38 of 40 changed operators and constants
	@$(python) -m tools.mutation_check

.PHONY: bench
bench: setup ## Measure speed against its budgets, for a quarter of an hour (ROWS="cold warm": these)
	@"$(PYTHON)" -m tools.bootstrap bench
	@$(python) -m bench $(ROWS)

.PHONY: check
check: lint types imports template document hosts secrets ## Everything that reads the code but does not run it

.PHONY: lint
lint: setup ## Check style and format
	@$(bin)/ruff check --quiet
	@$(bin)/ruff format --check --quiet || { echo 'Some files are not formatted: make format' >&2; exit 1; }

.PHONY: types
types: setup ## Check types
	@$(bin)/mypy --no-error-summary

.PHONY: imports
imports: setup ## Check that imports point down
	@$(bin)/lint-imports --no-logo >/dev/null || $(bin)/lint-imports --no-logo

.PHONY: template
template: setup ## Check template.yaml
	@$(bin)/cfn-lint template.yaml
	@AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .local/sam/bin/sam validate --lint >/dev/null

.PHONY: document
document: setup ## Check that generated parts of the docs match the code
	@$(python) -m tools.api_document --check
	@$(python) -m tools.event_catalogue --check
	@$(python) -m tools.state_diagram --check
	@$(python) -m tools.catalogue_parts --check

.PHONY: hosts
hosts: setup ## Check that no file names a package registry's host
	@$(python) -m tools.registry_hosts

.PHONY: secrets
secrets: setup ## Check that no file holds a secret
	@$(python) -m tools.secret_scan

.PHONY: audit
audit: setup ## Compare the locks with the published advisories (needs the network)
	@"$(PYTHON)" -m tools.bootstrap audit
	@for lock in $$($(python) -m tools.locks --list); do echo "audit: $$lock"; \
	  .local/audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes \
	  --requirement "$$lock"; done

.PHONY: format
format: setup ## Format the code, and mend what can be mended
	@$(bin)/ruff check --fix --quiet || true
	@$(bin)/ruff format --quiet

.PHONY: generate
generate: openapi event-catalogue ## Write everything that is made from the code, after a new integration
	@$(python) -m tools.catalogue_parts

.PHONY: openapi
openapi: setup ## Write docs/openapi.json from the code
	@$(python) -m tools.api_document

.PHONY: event-catalogue
event-catalogue: setup ## Write the log events and metrics of docs/operations.md from the code
	@$(python) -m tools.event_catalogue
	@$(python) -m tools.state_diagram

.PHONY: fuzz-api
fuzz-api: setup ## Ask the running API generated questions (CASES=5000 SEED=1)
	@$(python) -m tools.fuzz

.PHONY: screenshots
screenshots: setup ## Try /docs of the running service in Chromium, and keep its pictures
	@"$(PYTHON)" -m tools.bootstrap browser
	@.local/browser/bin/python -m tools.screenshots

.PHONY: lock
lock: setup ## Renew every lock after a change of requirements (UPGRADE=1: newest versions)
	@"$(PYTHON)" -m tools.bootstrap lock
	@$(python) -m tools.locks $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: setup ## Stop it, and remove builds, data and logs
	@$(python) -m tools.cloud clean
