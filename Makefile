# Every command of the project; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PINS = $(BIN)/uv pip compile -q --universal --python-version 3.11 $(UPGRADE) --generate-hashes \
	--no-emit-index-url --no-header
COMPILE = $(PINS) pyproject.toml
PYTHON_IS_NEW = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "faxhook needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12 …")'

.DEFAULT_GOAL := help
.PHONY: help run demo test measure faults cluster-faults fuzz bench bench-full bench-check bench-questions check images up down services services-down docs manifests lock

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

run: ports $(READY) ## Set up if needed, then run everything here until Ctrl-C
	@$(BIN)/python deploy/run.py run

demo: $(READY) ## The same, with the samples of every provider; exits 0 if every delivery was seen and verified
	@$(BIN)/python deploy/run.py demo

test: $(READY) ## Set up if needed, then the test suite, several tests at a time
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile -m "not alone"

measure: $(READY) ## The tests that measure time or memory, one at a time: let nothing else run beside them
	@$(BIN)/python -m pytest -m "alone and not cluster"

faults: $(READY) ## Every fault under traffic, SEEDS runs in all (default: one of each); prints the table
	@$(BIN)/python tests/faults/run_faults.py --seeds $(or $(SEEDS),0)
	@$(BIN)/python tests/faults/run_missed_faxes.py --seeds $(or $(SEEDS),20)
	@$(BIN)/python tests/faults/run_faults.py --precautions

cluster-faults: $(READY) ## The same with RabbitMQ as a cluster of three, 4.x and this machine's own; as root with partitions
	@$(BIN)/python -m pytest -m cluster
	@$(BIN)/python tests/faults/run_cluster_faults.py

fuzz: $(READY) ## Every parser and verifier against 10,000 generated inputs for each test
	@$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=long --timeout=3600 -v

BENCH = $(BIN)/python tests/bench/bench.py $(if $(BEFORE),--before $(BEFORE)) $(if $(PEERS),--peers) $(if $(ONLY),--only $(ONLY)) $(if $(ADD),--add)

bench: $(READY) ## What a callback and a delivery cost, beside the goals; minutes. BEFORE=revision, PEERS=1, ONLY="part …", ADD=1
	@$(BENCH)

bench-full: $(READY) ## The same with what takes long: retries, a ledger of FAXES faxes, an hour's worth, bad neighbours
	@$(BENCH) --full $(if $(FAXES),--faxes $(FAXES))

bench-check: $(READY) ## Fails if a callback or a delivery costs about twice what it did; a minute, several beside other work
	@$(BIN)/python tests/bench/check.py

bench-questions: $(READY) ## Fails if a question of an operator takes above 300 ms among FAXES faxes (a million); 3 minutes
	@$(BIN)/python tests/bench/questions.py $(if $(FAXES),--faxes $(FAXES))

check: $(READY) ## Linters, format, types, layering, sizes of files and packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint deploy/docker/Dockerfile
	@$(BIN)/python tests/check_layout.py

images: $(READY) ## Build the images faxhook-ingress and faxhook-dispatcher; BASE=… another base, WHEELS=1 fetches outside, EXTRA=otel
	@$(BIN)/python deploy/images.py $(if $(BASE),--base $(BASE)) $(if $(EXTRA),--extra $(EXTRA)) $(if $(WHEELS),--wheels)

up: $(READY) ## Everything by Docker Compose, as in production but on one machine; takes BASE and WHEELS as `images` does
	@$(BIN)/python deploy/compose/up.py up $(if $(BASE),--base $(BASE)) $(if $(WHEELS),--wheels)

down: $(READY) ## Stop it; VOLUMES=1 removes the data, too
	@$(BIN)/python deploy/compose/up.py down $(if $(VOLUMES),--volumes)

services: $(READY) ## Bring up the private RabbitMQ and PostgreSQL
	@$(BIN)/python deploy/local.py up

services-down: $(READY) ## Stop them
	@$(BIN)/python deploy/local.py down

docs: $(READY) ## Write the generated pages: settings, formats, metrics, log lines, capacity, deploy/env.example, definitions.json
	@$(BIN)/python -m docs.generate.settings
	@$(BIN)/python -m docs.generate.formats
	@$(BIN)/python -m docs.generate.metrics
	@$(BIN)/python -m docs.generate.capacity
	@$(BIN)/python -m docs.generate.goals
	@$(BIN)/python -m deploy.rabbitmq.definitions

manifests: $(READY) ## Write the plain Kubernetes manifests of the chart (deploy/kubernetes)
	@$(BIN)/python -m deploy.kubernetes.render

lock: $(READY) ## Pin dependencies for each service and for development; UPGRADE=-U takes the newest
	$(COMPILE) --extra ingress --extra dispatcher --extra otel --extra dev -o requirements-dev.lock
	# what is shipped is what was tested
	$(COMPILE) --extra ingress -c requirements-dev.lock -o requirements-ingress.lock
	$(COMPILE) --extra dispatcher -c requirements-dev.lock -o requirements-dispatcher.lock
	$(COMPILE) --extra otel -c requirements-dev.lock -o requirements-otel.lock
	$(PINS) --group image -o requirements-image.lock

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON_IS_NEW)
	@$(PYTHON) deploy/set_up.py $(VENV)
	@touch $(READY)

# Before anything is set up: it needs no library.
.PHONY: ports
ports:
	@$(PYTHON_IS_NEW)
	@$(PYTHON) deploy/demo/ports.py
