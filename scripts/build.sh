# Builds: guests once, everything else in a single profile.

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

# A second binary, with failpoints: tests can make the process fail at chosen places.
build_failing_host() {
  cargo build --release --locked --bin millstream --features failpoints
  cp target/release/millstream target/release/millstream-failpoints
}

# The peers that the benchmarks compare with. Writes only to .cache/peers.
build_peers() {
  [ -e .cache/peers/.complete ] && [ -z "$(find tests/peers -newer .cache/peers/.complete -print -quit)" ] && return
  setup_jdk
  say "building the peers for the benchmarks"
  mvn -q -B -f tests/peers/pom.xml compile >&2
  touch .cache/peers/.complete
}

# Clients that use the CloudEvents SDK for Java. Tests that need them are skipped if they cannot be built.
build_foreign_clients() {
  [ -e .cache/foreign/.complete ] && [ -z "$(find tests/foreign -newer .cache/foreign/.complete -print -quit)" ] && return
  say "building the clients that use the CloudEvents SDK for Java"
  if (setup_jdk && mvn -q -B -f tests/foreign/pom.xml compile >&2); then
    touch .cache/foreign/.complete
  else
    rm -f .cache/foreign/.complete
    loudly "SKIPPED: tests/foreign could not be built; events were not exchanged with the CloudEvents SDK for Java"
  fi
}

run_benches() {
  if [ "${1:-}" = micro ]; then
    shift
    # Select all members, as everywhere, so nothing is built twice with different features.
    cargo bench --locked --workspace --bench hot_path -- "$@"
    return
  fi
  case "${1:-}" in
    guests | deploy) build_all_guests ;;
    throughput | order | delivery) build_peers ;;
    *) build_all_guests; build_peers ;;
  esac
  # Built together with the host, so nothing is built twice with different features.
  cargo build --release --locked --bin millstream --bin bench --bin native-loop
  exec target/release/bench "$@"
}
