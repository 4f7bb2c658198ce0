# One word per task. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
PORT ?= 8000

.PHONY: help venv run demo test check conveyor chaos soak bench lock clean deploy-tools manifests check-deploy test-compose test-kube node-tools fuzz openapi release

help:  ## List the tasks.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: $(VENV)/.installed  ## A virtual environment with everything in it.

$(VENV)/.installed: requirements.lock pyproject.toml
	@scripts/venv $(VENV) $(PYTHON)
	@touch $@

run: venv  ## The platform on PORT=8000, and a sample recording that it has analysed; ONCE=1 ends after that.
	@$(BIN)/python -m timeside.demo $(OUT) $(PORT)

demo: venv  ## The command line: analyse, draw and transcode a sample recording into out/.
	@scripts/demo $(OUT)

test: venv deploy-tools node-tools  ## All checks and tests, on every Python interpreter found.
	@scripts/test-all $(VENV)

check: venv deploy-tools  ## Format, lint, types, import contracts, unit and contract tests.
	@scripts/check $(VENV)
	@$(BIN)/python -m pytest -q -n 2 -m "not integration"

node-tools: build/node/.installed

build/node/.installed: $(VENV)/.installed tests/node/package-lock.json scripts/node-tools
	@scripts/node-tools $(VENV)
	@touch $@

deploy-tools: build/deploy-tools/.installed

build/deploy-tools/.installed: $(VENV)/.installed tests/deploy/tools/package-lock.json scripts/deploy-tools
	@scripts/deploy-tools $(VENV)
	@touch $@

manifests: venv deploy-tools  ## Write what follows from settings, topics and chart: its schema, deploy/k8s.
	@$(BIN)/python -m deploy.helm.derive

check-deploy: venv deploy-tools  ## Images, compose file and chart, without an engine: lint, schemas, locks, what must hold.
	@$(BIN)/python -m pytest -q -n 2 tests/deploy -m "not integration"

test-compose: venv  ## Builds, starts, scales, breaks and restores deploy/compose.yml on a Docker engine; half an hour.
	@$(BIN)/python -m tests.deploy.lab --out $(OUT)/compose $(STEPS)

test-kube: venv deploy-tools  ## The chart on the cluster of the current kubeconfig, which must have KEDA; some 20 minutes.
	@$(BIN)/python -m tests.deploy.kube

release: venv deploy-tools  ## Build, push, pin and sign images and chart: VERSION=… REGISTRY=… OPTIONS="--base=… --key=…".
	@scripts/release $(VERSION) $(REGISTRY) $(OPTIONS)

conveyor: venv  ## A recording (FILE=…) through all services over Kafka and PostgreSQL; compares with one process.
	@test -n "$(FILE)" || { mkdir -p $(OUT); $(BIN)/python -m timeside.sample $(OUT)/sample.flac; }
	@$(BIN)/python -m tests.support.conveyor $(or $(FILE),$(OUT)/sample.flac)

chaos: venv  ## N=1000 runs through the services while KILLS=200 processes are killed (SEED=440); writes out/chaos.
	@$(BIN)/python -m tests.chaos --runs $(or $(N),1000) --kills $(or $(KILLS),200) --seed $(or $(SEED),440) \
		--out $(OUT)/chaos

openapi: venv  ## Record missing examples, write docs/openapi.json, unless it would break clients of the one there.
	@$(BIN)/python -m tests.support.examples
	@$(BIN)/python -m tests.support.breaking

fuzz: venv  ## Requests drawn from the OpenAPI document, valid and not, for SECONDS=900 (SEED=440).
	@$(BIN)/python -m tests.support.fuzz --seconds $(or $(SECONDS),900) --seed $(or $(SEED),440)

soak: venv  ## Cut N=1000 streams and uploads at random; each goes on exactly where it was.
	@TIMESIDE_TEST_CUTS=$(or $(N),1000) $(BIN)/python -m pytest -q -n 0 tests/integration/timeside_api/http/test_cuts.py

bench: venv  ## Measure CPU time and memory; writes docs/benchmarks.md.
	@$(BIN)/python -m benchmarks

lock: venv  ## Compile requirements.lock for all platforms and Python versions, and deploy/locks from it.
	@scripts/lock $(VENV)

clean:  ## Remove what the tasks made.
	rm -rf $(VENV) .venv-* out build dist
