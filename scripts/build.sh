# Building: guests once, and one profile of everything else.

build_guests() {
  (cd examples && cargo build --release --locked --target wasm32-wasip2 --workspace)
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

run_benches() {
  if [ -d host/benches ]; then cargo bench --locked "$@"; else
    loudly "there is no benchmark in this version: nothing was measured"
  fi
}
