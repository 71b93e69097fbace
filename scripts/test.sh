# Tests and checks. The summary lines of all runners are repeated at the end.

run_tests() {
  if [ "${1:-}" = --long ]; then
    export MILLSTREAM_TEST_LONG=1
    shift
  fi
  # Where tests and `loudly` write what was skipped, and why.
  MILLSTREAM_TEST_SKIPS=$(mktemp)
  export MILLSTREAM_TEST_SKIPS
  # Five targets, so a minute in total.
  export MILLSTREAM_FUZZ_SECONDS="${MILLSTREAM_FUZZ_SECONDS:-12}"
  setup_browser
  setup_schemathesis
  build_all_guests
  build_foreign_clients
  build_failing_host
  build_host
  local log
  log=$(mktemp)
  local result=0
  {
    cargo test --release --locked --workspace --no-fail-fast -- "$@" && (cd examples && cargo test --release --locked -- "$@") &&
      test_go_example && test_long "$@"
  } 2>&1 | tee "$log" || result=1
  # With a test name, run only the matching tests.
  if [ $# = 0 ]; then
    count_instructions 2>&1 | tee -a "$log" || result=1
    test_packaging || result=1
  fi
  printf '\n'
  grep -E '^(test result|instructions): ' "$log" || true
  report_skips || result=1
  rm -f "$log" "$MILLSTREAM_TEST_SKIPS"
  return $result
}

# The tests that are ignored unless asked for. Others that are ignored measure, or are started by other tests.
test_long() {
  [ -z "${MILLSTREAM_TEST_LONG:-}" ] || cargo test --release --locked -p millstream-tests --test delivery -- --ignored "$@"
}

# A skip is no pass: each is counted, and in CI, where everything can be installed, it fails the run.
report_skips() {
  printf 'skipped: %s\n' "$(wc -l <"$MILLSTREAM_TEST_SKIPS")"
  [ -s "$MILLSTREAM_TEST_SKIPS" ] || return 0
  sed 's/^/  /' "$MILLSTREAM_TEST_SKIPS"
  [ "${CI:-}" != true ]
}

# Sends the API requests that its OpenAPI document allows, and requests that it forbids.
setup_schemathesis() {
  local folder=.cache/tools/schemathesis
  [ -x "$folder/bin/schemathesis" ] && return
  say "installing schemathesis (once)"
  install_python_tools "$folder" schemathesis==4.32.5 ||
    loudly "SKIPPED: could not install schemathesis; the API was not checked against its OpenAPI document"
}

test_go_example() {
  if command -v go >/dev/null; then (cd examples/tally && go test ./...); else
    loudly "SKIPPED: the tests of examples/tally need Go"
  fi
}

run_checks() {
  cargo fmt --all --check
  (cd examples && cargo fmt --all --check)
  build_guests
  cargo clippy --release --locked --workspace --all-targets -- -D warnings
  cargo test --release --locked --workspace --test tidy --test words
  check_dependencies
}

check_dependencies() {
  local deny=.cache/tools/bin/cargo-deny
  if ! [ -x "$deny" ]; then
    say "building cargo-deny (once)"
    cargo install --quiet --locked --root .cache/tools cargo-deny --version 0.20.2 >&2 || {
      loudly "SKIPPED: could not install cargo-deny; licences and bans of dependencies were not checked"
      return 0
    }
  fi
  "$deny" check --hide-inclusion-graph licenses bans sources
  "$deny" check --hide-inclusion-graph advisories ||
    if "$deny" fetch db >/dev/null 2>&1; then return 1; else
      loudly "SKIPPED: the advisory database is unreachable; dependencies were not checked for known vulnerabilities"
    fi
}
