#!/usr/bin/env bash
# Runs every test of Forebay. Needs a Rust toolchain; what else the tests need is installed when this runs as root
# on Debian or Ubuntu, and asked for otherwise. The last line is always "N passed, N failed".
#
#   ./test.sh                     with cargo-nextest, which is built once if it is missing
#   TEST_RUNNER=cargo ./test.sh   with plain `cargo test`
#   ./test.sh NAME...             only tests whose names contain one of these words
set -euo pipefail
cd "$(dirname "$0")"

# Debian keeps servers where only root's PATH looks.
export PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"

passed=0
failed=0
filters=("$@")

report() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

# Something kept tests from running at all: never to be mistaken for success.
give_up() {
    echo "test.sh: $1" >&2
    failed=$((failed + 1))
    report
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# The commands that tests start, and the Debian packages that bring them.
install_needs() {
    local packages=()
    has nginx || packages+=(nginx-light)
    has npm || packages+=(npm)
    has python3 || packages+=(python3)
    # For gRPC's client and server and for schemathesis, which are installed into environments of their own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
    has openssl || packages+=(openssl)
    has curl || packages+=(curl)
    # They read what is coded here.
    has brotli || packages+=(brotli)
    has zstd || packages+=(zstd)
    # Clients of HTTP/2.
    has nghttp && has h2load || packages+=(nghttp2-client)
    # For promtool, which checks the metrics.
    has promtool || packages+=(prometheus)
    # A download over many connections.
    has aria2c || packages+=(aria2)
    # For the test with a browser and a video, which is half a gigabyte to install and runs only if it is asked for.
    if [ -n "${FOREBAY_CHROMIUM:-}" ]; then
        has chromium || packages+=(chromium)
        has ffmpeg || packages+=(ffmpeg)
    fi
    # For the tests on a file system of their own, which only root can mount.
    [ "$(id -u)" -ne 0 ] || has mkfs.ext4 || packages+=(e2fsprogs)
    [ "${#packages[@]}" -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ] || ! has apt-get; then
        give_up "the tests need these Debian packages (or what is like them elsewhere): ${packages[*]}"
    fi
    echo "test.sh: installing ${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    # RUNLEVEL=1 keeps the packages from starting their services.
    { apt-get update -q && RUNLEVEL=1 apt-get install -q -y --no-install-recommends "${packages[@]}"; } \
        >&2 </dev/null || give_up "apt-get could not install ${packages[*]}"
}

has_nextest() { cargo nextest --version >/dev/null 2>&1; }

choose_runner() {
    if [ "${TEST_RUNNER:-nextest}" = cargo ]; then
        runner=cargo
    elif has_nextest; then
        runner=nextest
    elif echo "test.sh: building cargo-nextest, once; TEST_RUNNER=cargo does without" >&2 &&
        cargo install cargo-nextest --locked >&2 </dev/null && has_nextest; then
        runner=nextest
    else
        echo "test.sh: no cargo-nextest; using cargo test" >&2
        runner=cargo
    fi
}

# Runs a command, shows what it says, and keeps it in $log. Its exit status is the result.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
    "$@" </dev/null 2>&1 | tee "$log"
}

# Summary [   1.234s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped
# What was to run and did not pass has failed, whatever it is called (failed, timed out, cancelled).
run_with_nextest() {
    local status=0 summary counts ran ok
    run cargo nextest run --no-fail-fast --color never --no-tests pass "$@" || status=$?
    summary=$(grep -E '^ *Summary \[.*\] .*tests? run:' "$log" | tail -n 1 || true)
    counts=${summary#*] }
    ran=$(sed -nE 's/^ *([0-9]+\/)?([0-9]+) tests? run:.*/\2/p' <<<"$counts")
    ok=$(sed -nE 's/.*run: .*\b([0-9]+) passed.*/\1/p' <<<"$counts")
    count "${ran:-0}" "${ok:-0}" "$status"
}

# The cases that our own driver of connections and hyper's have to answer alike, on hyper's (decision 11).
run_on_hyper() {
    FOREBAY_TEST_DRIVER=hyper run_with_nextest http1:: limits:: faults:: spoon:: cancel::
}

# test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
run_with_cargo() {
    local status=0 ran ok
    run cargo test --no-fail-fast --color never "$@" || status=$?
    read -r ok ran < <(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2/p' "$log" |
        awk '{ ok += $1; ran += $1 + $2 } END { print ok + 0, ran + 0 }')
    count "$ran" "$ok" "$status"
}

# conformance: 369 passed, 0 failed
run_conformance() {
    local status=0 ok bad
    run python3 tests/conformance --check-docs || status=$?
    read -r ok bad < <(sed -nE 's/^conformance: ([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log"; echo 0 0)
    count "$((ok + bad))" "$ok" "$status"
}

# grpc: 24 passed, 0 failed
run_grpc() {
    local status=0 ok bad
    run python3 tests/grpc || status=$?
    read -r ok bad < <(sed -nE 's/^grpc: ([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log"; echo 0 0)
    count "$((ok + bad))" "$ok" "$status"
}

# openapi: 3 passed, 0 failed
run_openapi() {
    local status=0 ok bad
    run python3 tests/openapi || status=$?
    read -r ok bad < <(sed -nE 's/^openapi: ([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log"; echo 0 0)
    count "$((ok + bad))" "$ok" "$status"
}

# Whether the tests of this name were asked for.
wanted() {
    local filter
    [ "${#filters[@]}" -gt 0 ] || return 0
    for filter in "${filters[@]}"; do
        [[ "$1" == *"$filter"* ]] && return 0
    done
    return 1
}

# Adds the tests of one run. One that ended badly without naming a failed test counts as one.
count() {
    local ran=$1 ok=$2 status=$3
    local bad=$((ran - ok))
    [ "$status" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + ok))
    failed=$((failed + bad))
}

has cargo || give_up "no cargo: install a Rust toolchain first (https://rustup.rs)"
install_needs
choose_runner
if [ "$runner" = nextest ]; then
    run_with_nextest "${filters[@]}"
    if wanted hyper; then run_on_hyper; fi
    # nextest runs no examples in documentation.
    run_with_cargo --doc -- "${filters[@]}"
else
    run_with_cargo -- "${filters[@]}"
fi
# A real client and a real server of gRPC.
if wanted grpc; then run_grpc; fi
# The admin API against its own description.
if wanted openapi; then run_openapi; fi
# The public HTTP cache tests.
if wanted conformance; then run_conformance; fi
[ $((passed + failed)) -gt 0 ] || give_up "no test ran"
report
