# The one entry to ClinicQ. `make help` lists the targets.

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r target text; do printf '%-18s %s\n' "$$target" "$$text"; done

run: ## install what is missing, build and run a local clinic until Ctrl-C
	@docker/local/run

start: ## the same in the background
	@docker/local/start

stop: ## stop the local clinic; its data stays
	@docker/local/stop

fresh: ## stop the local clinic and remove it with its data
	@docker/local/fresh

psql: ## psql in the local clinic's database, as its owner
	@docker/local/psql

test: ## run every test suite (SUITES="http pgtap" for some)
	@tests/run $(SUITES)

test-trixie: ## run them in a Debian 13, with PostgreSQL 17 and libmicrohttpd 1.0; as root
	@tests/trixie $(SUITES)

lint: ## check format, C, shell scripts and blanks
	@tests/lint

fuzz: ## search for input that breaks a parser, for ten minutes
	@docker/local/packages run test
	@CLINICQ_FUZZ_SECONDS=$${CLINICQ_FUZZ_SECONDS:-600} tests/fuzz/run

bench: ## measure speed
	@docker/local/packages run bench
	@tests/load/bench
	@tests/load/bench-audit
	@tests/load/bench-events
	@tests/load/bench-reports

bench-proof: ## measure sealing and verifying the audit log, ten million events
	@docker/local/packages run bench
	@tests/load/bench-proof

coverage: ## run every suite on instrumented builds; lines covered must reach the floor
	@COVERAGE=1 tests/run $(SUITES)

install: ## build and install extension and shim (DESTDIR and PG_CONFIG honoured)
	@$(MAKE) --no-print-directory -C extension install
	@$(MAKE) --no-print-directory -C shim install

uninstall: ## remove what install put there
	@$(MAKE) --no-print-directory -C extension uninstall
	@$(MAKE) --no-print-directory -C shim uninstall

clean: ## remove what was built
	@$(MAKE) --no-print-directory -C extension clean
	@$(MAKE) --no-print-directory -C shim clean

.PHONY: help run start stop fresh psql test test-trixie lint fuzz bench bench-proof coverage install uninstall clean
