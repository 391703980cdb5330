# One-line aliases; ./build.py --help and docs/commands.md say what each does.
PYTHON ?= python3
# The first interpreter only looks for the build's own environment: nothing that is installed beside it.
BUILD = $(PYTHON) -S build.py
TEST = $(PYTHON) -m builder.bootstrap test

.DEFAULT_GOAL := dist
.PHONY: dist check test wheelhouse lock upload demo bench servers clean

dist:       ; $(BUILD) dist
check:      ; $(TEST) -m tests.suite --fast
# make test ARGS=--thorough, before a release: takes hours instead of minutes
test:       ; $(TEST) -m tests.suite $(ARGS)
wheelhouse: ; $(BUILD) wheelhouse
lock:       ; $(BUILD) lock
# make upload TO=s3://bucket/prefix ARGS=--dry-run
upload:     ; $(BUILD) publish $(TO) $(ARGS)
demo: dist   ; $(PYTHON) -m builder.bootstrap build -m demo $(ARGS)
bench: dist  ; $(TEST) -m benchmarks $(ARGS)
servers:    ; sh tests/install-servers
clean:      ; $(BUILD) clean
