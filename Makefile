# Tertulia. A fresh clone needs Go, make and, for the tests, apt.

GO ?= go
BIN := bin/tertulia

# Debian packages that the tests use: a C compiler for the race detector, for
# the prototype's own clients Python's websockets, a browser and curl, nginx to
# stand before a server, and what a cluster stands on.
TEST_PACKAGES := gcc libc6-dev python3-websockets chromium curl nginx-light postgresql redis-server

# How long `make fuzz` looks for bad input, for each decoder.
FUZZTIME ?= 2m

# How often `make crash` kills a server, a restore and a migration, and takes a
# server's power away.
CRASH_ROUNDS ?= 500

# How long `make nemesis` makes faults.
NEMESIS_SECONDS ?= 600

# How many connections to PostgreSQL `make cuts` cuts.
CUTS ?= 10000

.PHONY: run build cluster test test-packages bench crash nemesis cuts fuzz cover clean

# Build what is missing and start the server; FLAGS="--log-level debug" adds flags.
run: build
	@exec $(BIN) serve $(FLAGS)

build:
	@$(GO) build -trimpath -o $(BIN) ./cmd/tertulia

# Packages whose tests load a server, and measure it. They are tested one at a
# time (-p 1), because two at once on two cores make each other late.
LOADED := $(addprefix internal/,crashtest gateway hub inbox seedtest)

# Packages whose tests take longest. They begin first, so that they do not end
# alone.
LONG := $(addprefix tertulia/,internal/store/postgres internal/store/sqlite internal/server cmd/tertulia client internal/authtest)

# The race detector comes with a check of every pointer that is made of a number
# (-d=checkptr). SQLite, which is C made into Go, does little else, so its
# packages are built without the check. The C itself is built without the
# detector too: it keeps what it works on outside the heap of Go, where the
# detector looks at nothing, and asks for each access all the same. What calls
# it, the driver and the C library, is looked at as everything is, and there two
# goroutines on one connection are seen.
RACE := -race -gcflags=modernc.org/...=-d=checkptr=0 -gcflags=modernc.org/sqlite/lib=-race=false

# Three nodes on a private PostgreSQL and Redis, behind nginx on 127.0.0.1:8000.
cluster: build
	@$(GO) build -o .cache/cluster ./internal/cluster/run
	@exec .cache/cluster $(BIN) $(FLAGS)

# Everything that must hold, in one line at the end: N passed, N failed. What
# counts bytes and allocations is left out by the race detector, and so is run
# once more without it. What go test would vet, each package once more in the
# race detector's build, internal/house vets all at once (-vet=off).
test: test-packages
	@$(GO) run ./internal/house/summary \
		$(RACE) -vet=off -p 4 $(LONG) $(filter-out $(LONG) $(addprefix tertulia/,$(LOADED)),$(shell $(GO) list ./...)) -- \
		$(RACE) -vet=off -p 1 $(addprefix ./,$(LOADED)) -- \
		-vet=off ./internal/websocket ./internal/bus/local

# Install what the tests need, if it is missing.
test-packages:
	@missing=; \
	for package in $(TEST_PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	install="apt-get install -y --no-install-recommends$$missing"; \
	if [ "$$(id -u)" = 0 ]; then sudo=; \
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=sudo; \
	else echo "The tests need$$missing; run: sudo $$install" >&2; exit 1; fi; \
	echo "installing$$missing"; \
	$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive $$install

# Figures of this machine; docs/performance.md says what they mean.
bench: build
	@$(BIN) bench all --spawn

# Servers killed while they are written to, restores and migrations on their
# way, CRASH_ROUNDS times each; and their power lost, as often, on a disk that
# forgets what was not synced.
crash:
	TERTULIA_CRASH_ROUNDS=$(CRASH_ROUNDS) $(GO) test -count=1 -timeout 0 -v -p 1 -run '^TestKilled(ServerLosesNothing|Restore|Migration)$$' ./internal/crashtest ./internal/migrate
	TERTULIA_POWER_LOSSES=$(CRASH_ROUNDS) $(GO) test -count=1 -timeout 0 -v -run TestPowerLoss ./internal/store/sqlite

# Faults in a cluster of three nodes, PostgreSQL and Redis while it is written
# to, for NEMESIS_SECONDS.
nemesis:
	TERTULIA_NEMESIS_SECONDS=$(NEMESIS_SECONDS) $(GO) test -count=1 -timeout 0 -v -run TestClusterLosesNothing ./internal/crashtest

# Connections to PostgreSQL cut at each byte of a request and of its answer,
# CUTS times.
cuts:
	TERTULIA_CUTS=$(CUTS) $(GO) test -count=1 -timeout 0 -v -run TestCutConnections ./internal/store/postgres

# Every decoder against random input, each for FUZZTIME.
fuzz:
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# Which lines the tests reach: the sum, and a page in .cache/cover.html.
cover:
	@mkdir -p .cache
	@$(GO) test -coverpkg ./... -coverprofile .cache/cover.out ./...
	@$(GO) tool cover -html .cache/cover.out -o .cache/cover.html
	@$(GO) tool cover -func .cache/cover.out | tail -n 1

clean:
	rm -rf bin .cache
