# Building: guests once, and one profile of everything else.

build_guests() {
  (cd examples && cargo build --release --locked --target wasm32-wasip2 --workspace)
}

build_all_guests() {
  build_guests
  build_foreign_guests
}

build_host() {
  build_guests
  cargo build --release --locked --bin millstream
}

# A second binary, in which tests can make the process fail at chosen places.
build_failing_host() {
  cargo build --release --locked --bin millstream --features failpoints
  cp target/release/millstream target/release/millstream-failpoints
}

# What the driver measures against; it writes nothing but .cache/peers.
build_peers() {
  [ -e .cache/peers/.complete ] && [ -z "$(find tests/peers -newer .cache/peers/.complete -print -quit)" ] && return
  setup_jdk
  say "building what Millstream is measured against"
  mvn -q -B -f tests/peers/pom.xml compile >&2
  touch .cache/peers/.complete
}

# CloudEvents' SDK for Java, on the other side of tests. They skip themselves where it can't be built.
build_foreign_clients() {
  [ -e .cache/foreign/.complete ] && [ -z "$(find tests/foreign -newer .cache/foreign/.complete -print -quit)" ] && return
  say "building the clients that CloudEvents' own SDK is tried with"
  if (setup_jdk && mvn -q -B -f tests/foreign/pom.xml compile >&2); then
    touch .cache/foreign/.complete
  else
    rm -f .cache/foreign/.complete
    loudly "SKIPPED: tests/foreign could not be built; events were not exchanged with CloudEvents' SDK for Java"
  fi
}

run_benches() {
  if [ "${1:-}" = micro ]; then
    shift
    # All members are selected, as everywhere, so that nothing is built twice with other features.
    cargo bench --locked --workspace --bench hot_path -- "$@"
    return
  fi
  case "${1:-}" in
    guests | deploy) build_all_guests ;;
    throughput | order | delivery) build_peers ;;
    *) build_all_guests; build_peers ;;
  esac
  # One selection with the host, so that nothing is built twice with other features.
  cargo build --release --locked --bin millstream --bin bench --bin native-loop
  exec target/release/bench "$@"
}
