# Thin front of meson and ninja. `make run` and `make check` are all a newcomer needs.
BUILD ?= build
CHECK ?= build-check
CRASH ?= build-crash
THREADS ?= build-threads
MEMORY ?= build-memory
COVERAGE ?= build-coverage
JOBS ?= $(shell nproc)

.PHONY: all build run check check-threads check-memory crash fuzz fuzz-coverage bench bench-growth bench-engine bench-storage install format clean

all: build

# Optimised; the program is build/penfold. Tests are not part of it, so that it needs nothing they need.
build:
	@tools/need build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) -Dtests=false -Dbuildtype=release -Db_lto=true >/dev/null
	@ninja -C $(BUILD) --quiet -j$(JOBS)

# A demo server on loopback with a demo account.
run: build
	@tools/run-demo $(BUILD)/penfold

# Every test, with AddressSanitizer and UndefinedBehaviorSanitizer.
check:
	@tools/need build check
	@tools/check $(BUILD) $(CHECK)

# What has threads, with ThreadSanitizer.
check-threads:
	@tools/need build check
	@tools/check-threads $(THREADS)

# The parsers, under valgrind: reads of what nobody has written, which AddressSanitizer does not see.
check-memory:
	@tools/need build check memory
	@tools/check-memory $(MEMORY)

# Fuzz for longer: make fuzz SECONDS=600 [TARGET=mail_parser]
fuzz:
	@tools/need build check
	@tools/fuzz $(CHECK) $(or $(SECONDS),600) $(TARGET)

# Which lines what fuzzing has found reaches: make fuzz-coverage TARGET=mail_parser
fuzz-coverage:
	@tools/need build check
	@tools/fuzz-coverage $(COVERAGE) $(TARGET)

# Penfold beside Dovecot and Cyrus, unpacked into the build folder: make bench [QUICK=1] [ONLY=row,...] [SERVERS=penfold,...]
bench: build
	@tools/need bench
	@meson configure $(BUILD) -Dbench=true && ninja -C $(BUILD) --quiet -j$(JOBS)
	@bench/run $(BUILD) $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(SERVERS),--servers $(SERVERS))

# Power cuts by the thousand, on a simulated disk: make crash SEEDS=N or SEEDS=FROM-TO [FAULTS=1] [VERBOSE=1]; 41 cuts a seed.
crash:
	@tools/need build check
	@FAULTS=$(FAULTS) VERBOSE=$(VERBOSE) JOBS=$(JOBS) tools/crash $(CRASH) $(or $(SEEDS),1000)

# How times grow with messages and accounts: make bench-growth [SIZES=1000,10000,100000,1000000]
bench-growth: build
	@tools/need bench
	@meson configure $(BUILD) -Dbench=true && ninja -C $(BUILD) --quiet -j$(JOBS)
	@bench/growth $(BUILD) $(if $(SIZES),--sizes $(SIZES))

bench-engine: build
	@meson configure $(BUILD) -Dbench=true && ninja -C $(BUILD) --quiet -j$(JOBS)
	@$(BUILD)/bench/bench-engine

# What each way of storing bodies brings, on the corpus and on made mail: make bench-storage [COUNT=5000]
bench-storage: build
	@tools/need bench
	@meson configure $(BUILD) -Dbench=true && ninja -C $(BUILD) --quiet -j$(JOBS)
	@bench/storage $(BUILD) $(COUNT)

install: build
	@meson install -C $(BUILD) --quiet

format:
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' | xargs clang-format -i

clean:
	rm -rf $(BUILD) $(CHECK) $(CRASH) $(THREADS) $(MEMORY) $(COVERAGE)
