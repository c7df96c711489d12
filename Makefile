# Two commands: `make demo` and `make test`. Each does its own set-up, which is kept in .venv and runners/*/target.

PYTHON ?= $(shell for python in python3.12 python3.11 python3.10 python3; do $$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
FLINK := runners/flink/target/flink-job-server.jar
KAFKA := runners/kafka/target/jars/.complete
HDFS := runners/hdfs/target/jars/.complete
KUBERNETES := runners/kubernetes/target/.complete

.PHONY: demo test simulate mutants fuzz build lint first browser prometheus hdfs pictures bench bench-batch bench-stream clean

demo: build
	@$(BIN)/python -m pipeline demo

test: build browser prometheus hdfs lint
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

build: first $(VENV)/.complete $(FLINK) $(KAFKA) $(KUBERNETES)

first:
	@for part in $(VENV)/.complete $(FLINK) $(KAFKA); do [ -e $$part ] || { \
		echo "The first time, some 1.2 GB of Python packages and Java archives are downloaded and put together, which takes three to four minutes."; break; }; done

lint: $(VENV)/.complete
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Those of the documents, some five minutes.
pictures: build browser
	$(BIN)/python -m runners.pictures.graph > docs/graph.svg
	$(BIN)/python -m runners.pictures.live_page docs/pictures

# The stream on a virtual clock, ten thousand times: some half an hour on two cores; and faults planted in our own code, each of which a seed has to find.
simulate: build
	$(BIN)/python -m tests.simulator --seeds 10000 --processes 2

mutants: build
	$(BIN)/python -m tests.simulator.mutants --processes 2

# Messages and answers that nobody would send: 200,000 and 100,000 through the steps, and 20,000 of each through a running stream.
fuzz: build
	$(BIN)/python -m tests.fuzz.steps --events 200000
	$(BIN)/python -m tests.fuzz.client --count 100000
	FUZZED=20000 $(BIN)/python -m pytest tests/system/test_fuzzed_stream.py
	$(BIN)/python -m tests.fuzz.stream --count 20000

bench: build
	$(BIN)/python -m tests.benchmarks.http_clients
	$(BIN)/python -m tests.benchmarks.batch
	$(BIN)/python -m tests.benchmarks.batch_isolation
	$(BIN)/python -m tests.benchmarks.building
	$(BIN)/python -m tests.benchmarks.overhead

# A batch run at size, beside what one would write instead: some three quarters of an hour.
bench-batch: build
	$(BIN)/python -m tests.benchmarks.batch --events 100000,1000000 --rounds 1 --only damaging --without wikidatawiki
	$(BIN)/python -m tests.benchmarks.batch --events 100000 --rounds 1 --only damaging --without wikidatawiki --systems regenerate,threads,pyspark
	$(BIN)/python -m tests.benchmarks.batch_isolation --events 200000
	$(BIN)/python -m tests.benchmarks.batch_kills
	$(BIN)/python -m tests.benchmarks.batch_kills --events 1000000 --stores hdfs,s3
	$(BIN)/python -m tests.benchmarks.flink_workers
	$(BIN)/python -m tests.benchmarks.readers

# All that a stream has to bear: some seven hours, of which what one output stream's faults do to the others takes two, and kills in all layouts one.
bench-stream: build
	$(BIN)/python -m tests.benchmarks.beside_peers
	$(BIN)/python -m tests.benchmarks.highest_rate
	$(BIN)/python -m tests.benchmarks.isolation --cluster
	$(BIN)/python -m tests.benchmarks.savepoint --cluster
	$(BIN)/python -m tests.benchmarks.chaos --cluster
	$(BIN)/python -m tests.benchmarks.pending --cluster
	$(BIN)/python -m tests.benchmarks.stall
	$(BIN)/python -m tests.benchmarks.slots
	$(BIN)/python -m tests.benchmarks.upgrade
	$(BIN)/python -m tests.benchmarks.told
	$(BIN)/python -m tests.benchmarks.stream_isolation
	$(BIN)/python -m tests.benchmarks.stream_isolation --eventgate
	$(BIN)/python -m tests.benchmarks.dead_stream
	$(BIN)/python -m tests.benchmarks.to_eventgate
	$(BIN)/python -m tests.benchmarks.soak --cluster

hdfs: $(HDFS)

browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "chromium is not on the PATH; install it, for instance: apt-get install chromium"; exit 1; }; \
	echo "Chromium, for the tests of the live page, from this system's packages"; \
	apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium fonts-liberation >/dev/null

prometheus:
	@command -v promtool >/dev/null && exit 0; \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "promtool is not on the PATH; install it, for instance: apt-get install prometheus"; exit 1; }; \
	echo "Prometheus, for the tests of the alerts, from this system's packages"; \
	apt-get -qq update && apt-get -qq install --yes --no-install-recommends prometheus >/dev/null

$(VENV)/.complete: setup.py
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11 or 3.12 is not on the PATH; install one, for instance: apt-get install python3 python3-venv"; exit 1; }
	@echo "Python packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) has no venv module; install it, for instance: apt-get install python3-venv"; exit 1; }
	@$(call slowly,$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]')
	@touch $@

$(FLINK): runners/flink/pom.xml $(shell find runners/flink/src -name '*.java')
	@$(call needs_maven)
	@echo "Flink job server into $@"
	@$(call slowly,MAVEN_OPTS=-Djansi.noreset=true mvn --quiet --batch-mode -Dstyle.color=never --file $< package)
	@touch $@

$(KAFKA): runners/kafka/pom.xml
	@$(call needs_maven)
	@echo "Kafka broker into $(dir $@)"
	@$(call slowly,MAVEN_OPTS=-Djansi.noreset=true mvn --quiet --batch-mode -Dstyle.color=never --file $< package)
	@touch $@

$(HDFS): runners/hdfs/pom.xml
	@$(call needs_maven)
	@echo "HDFS, for the tests of datasets, into $(dir $@)"
	@$(call slowly,MAVEN_OPTS=-Djansi.noreset=true mvn --quiet --batch-mode -Dstyle.color=never --file $< package)
	@touch $@

$(KUBERNETES): runners/kubernetes/pom.xml
	@$(call needs_maven)
	@echo "Schema of the Flink Kubernetes operator into $(dir $@)"
	@$(call slowly,MAVEN_OPTS=-Djansi.noreset=true mvn --quiet --batch-mode -Dstyle.color=never --file $< package)
	@touch $@

clean:
	rm -rf $(VENV) runners/flink/target runners/kafka/target runners/hdfs/target runners/kubernetes/target tests/benchmarks/peers/target demo-output

define needs_maven
command -v java >/dev/null || { echo "java is not on the PATH; install a JDK 11 or 17, for instance: apt-get install openjdk-17-jdk-headless"; exit 1; }; \
command -v mvn >/dev/null || { echo "mvn is not on the PATH; install Maven, for instance: apt-get install maven"; exit 1; }
endef

# Runs a command that says nothing, and says every 15 s that it is still at it.
define slowly
{ seconds=0; while sleep 15 >&- 2>&-; do seconds=$$((seconds + 15)); echo "  ... $$seconds s so far"; done & } ; ticker=$$!; $(1); code=$$?; kill $$ticker; exit $$code
endef
