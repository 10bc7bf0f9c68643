# Two commands: `make up` and `make test`. What they do is in scripts/.
.DEFAULT_GOAL := help
.PHONY: up setup test test-py test-e2e test-slow test-spark test-qgis test-deployed lint fmt bench audit lock clean help
PORT ?=
export WUSETU_SERVER_PORT := $(or $(PORT),$(WUSETU_SERVER_PORT),8000)

up: ## set everything up, load the sample, serve the map (PORT=8000)
	@scripts/up.sh

setup: ## everything `up` does before it serves
	@scripts/setup.sh run

test: ## every suite: linters, types, Python, browser, front end, compose file
	@scripts/test.sh all

test-py: ## the Python tests without the browser
	@scripts/test.sh py

test-e2e: ## the browser tests
	@scripts/test.sh e2e

test-slow: ## tests longer than a minute
	@scripts/test.sh slow

test-spark: ## the Spark engine, in an environment of its own (needs Java 17)
	@scripts/spark.sh

test-qgis: ## our files, tiles and services as QGIS sees them (as root it installs QGIS)
	@scripts/qgis.sh

test-deployed: ## the containers built and run, and the service under systemd (as root)
	@scripts/deployed.sh

lint: ## ruff, mypy, the front end's checks
	@scripts/test.sh lint

fmt: ## format everything
	@scripts/fmt.sh

bench: ## benchmarks against the named peers
	@scripts/bench.sh

audit: ## known vulnerabilities of the locked packages
	@scripts/audit.sh

lock: ## resolve the Python dependencies anew into the lock files
	@scripts/lock.sh

clean: ## remove what was installed and built; the data folder stays
	@scripts/clean.sh

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' Makefile | expand -t 22
