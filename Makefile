# What people type. Every target installs what it needs first; see tools/setup.sh.
.DEFAULT_GOAL := help
.PHONY: openapi-release demo up test check dev gen migration tenant operator cluster scenarios kafka chaos help setup bench properties schemathesis fairness
SHELL := /bin/bash
RUN := . tools/setup.sh path &&
# The scenarios that most need many processes to mean anything: SHORT=1. Each has a cluster of its own there.
MANY = cancelled-or-sent database-down event-log fair-between-tenants killed-under-load nothing-leaks revoked-at-once submitted-by-smtp \
  trace two-of-each webhooks
SCENARIOS = $(if $(filter 1 true yes,$(SHORT)),$(MANY:%='e2e/scenarios/%.test.ts'),'e2e/scenarios/*.test.ts')
# Of proofs that take long, the form of make test; make scenarios has the files' own, which is the long one.
SHORT_PROOFS = KILLS=$(or $(KILLS),3) GUESSES=$(or $(GUESSES),2000) MESSAGES=$(or $(MESSAGES),300)
# Not needed where KAFKA_BROKERS names one.
KAFKA = $(if $(KAFKA_BROKERS),true,tools/kafka.sh install)

setup:
	@tools/setup.sh

demo: setup ## Start the platform, send a message, show its way to the receiving side, stop
	@$(RUN) exec node services/standalone/src/demo.ts

up: setup ## Run the platform until Ctrl-C; prints URLs, an API key and a curl line (SPLIT=1: one process per role)
	@$(RUN) exec node services/standalone/src/up.ts $(if $(filter 1 true yes,$(SPLIT)),--split)

cluster: setup ## The platform as in production, on this machine: two processes of every role, Kafka and PostgreSQL, until Ctrl-C
	@$(RUN) $(KAFKA) && exec node services/standalone/src/up.ts --cluster

scenarios: setup ## What the whole platform promises, on one process or, PLATFORM=cluster, on the cluster (SHORT=1: only what is about many processes)
	@$(RUN) $(if $(filter cluster,$(PLATFORM)),$(KAFKA) &&) PLATFORM=$(PLATFORM) exec node tools/test.ts $(if $(filter cluster,$(PLATFORM)),--test-concurrency=1) $(SCENARIOS)

test: setup ## Every check and every test (long proofs in a short form: KILLS=3 GUESSES=2000 MESSAGES=300)
	@$(RUN) tools/check.sh static && $(SHORT_PROOFS) exec node tools/test.ts

check: setup ## Types, lint and unit tests, in seconds
	@$(RUN) exec tools/check.sh

dev: setup ## The platform, restarted whenever a source file changes
	@$(RUN) exec node --watch --watch-preserve-output services/standalone/src/up.ts

gen: setup ## Generate code from proto/ and the Prisma schemas again
	@$(RUN) exec tools/generate.sh --force

migration: setup ## Write the migration a changed schema.prisma needs: make migration SERVICE=auth NAME=add_phone
	@$(RUN) exec node tools/migration.ts "$(SERVICE)" "$(NAME)"

tenant: setup ## Make another tenant with a key on the running platform: make tenant NAME=acme EMAIL=owner@acme.example
	@$(RUN) exec node services/standalone/src/tenant.ts --name "$(NAME)" --email "$(EMAIL)"

operator: setup ## Suspend, release, quotas, password links, signing keys, destinations on the running platform: make operator DO="tenants"; see services/standalone/src/operator.ts
	@$(RUN) exec node services/standalone/src/operator.ts $(DO)

openapi-release: setup ## Promise what the API is now: docs/openapi.json, which every check compares with, and docs/changelog.md
	@$(RUN) exec node tools/openapi-release.ts

kafka: setup ## A Kafka for developers on 127.0.0.1:9092, in the background; prints its KAFKA_BROKERS (needs Java; tools/kafka.sh stop ends it)
	@$(RUN) exec tools/kafka.sh start

chaos: setup ## Kill, stop and cut the processes of a cluster under load and reconcile (MINUTES=10 SEED=7; OF=kafka|postgres SECONDS=60: an outage)
	@$(RUN) tools/kafka.sh install && exec node e2e/chaos/$(if $(OF),outage.ts --of $(OF) $(if $(SECONDS),--seconds $(SECONDS)),main.ts --minutes $(or $(MINUTES),10)) $(if $(RATE),--rate $(RATE)) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)

properties: setup ## Round trips of addresses, headers and MIME through Python's email package, at length (RUNS=5000 SEED=7)
	@$(RUN) RUNS=$(or $(RUNS),5000) SEED=$(SEED) exec node tools/test.ts services/messaging/test/round-trips.test.ts

bench: setup ## Measure the platform beside what it compares with (PART=accept…, SHORT=1, PROFILE=1, PLATFORM=cluster); see bench/README.md
	@$(RUN) PROFILE=$(PROFILE) PLATFORM=$(PLATFORM) exec node bench/main.ts $(PART) $(if $(filter 1 true yes,$(SHORT)),--short)

schemathesis: setup ## Requests made of the OpenAPI document, right and wrong, and its links followed, by a Python program that knows nothing else of it (CASES=5000 SEED=7 SHORT=1)
	@$(RUN) exec node e2e/schemathesis/main.ts --cases $(or $(CASES),5000) $(if $(SEED),--seed $(SEED)) $(if $(filter 1 true yes,$(SHORT)),--short)

fairness: setup ## How much 100,000 queued messages of one tenant delay ten of another (MESSAGES=100000)
	@$(RUN) FAIRNESS=$(or $(MESSAGES),100000) exec node tools/test.ts e2e/scenarios/fair-between-tenants.test.ts

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
