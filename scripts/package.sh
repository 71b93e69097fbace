# What users install: one archive with the binary, its licence, and the ways to run it.

package() {
  build_host
  local version target name folder
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
  target=$(rustc -vV | sed -n 's/^host: //p')
  name="millstream-$version-$target"
  folder=target/package/$name
  rm -rf "$folder"
  mkdir -p "$folder"
  install -m 755 target/release/millstream "$folder/millstream"
  # The names of functions stay, so that a backtrace is readable; what only a debugger reads goes.
  strip --strip-debug "$folder/millstream"
  cp LICENSE README.md CHANGELOG.md "$folder/"
  cp -r docs deploy "$folder/"
  tar --sort=name --owner=0 --group=0 --numeric-owner -C target/package -czf "target/package/$name.tar.gz" "$name"
  "$folder/millstream" --version >/dev/null
  (cd target/package && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
  printf 'target/package/%s.tar.gz\n' "$name"
}

# The files of deploy/, read as the programs do that they are for.
test_packaging() {
  if ! command -v go >/dev/null; then
    loudly "SKIPPED: no Go here; the files of deploy/ were not read by compose-go, the Kubernetes, KEDA and Prometheus packages"
    return 0
  fi
  if ! (cd tests/packaging && go mod download >&2); then
    loudly "SKIPPED: the Go packages that read the files of deploy/ could not be fetched"
    return 0
  fi
  (cd tests/packaging && go test ./...) || return 1
  if ! docker info >/dev/null 2>&1; then
    say "no container engine here: the image was not built, and the compose file was read but not run"
  fi
  if command -v systemd-analyze >/dev/null; then
    systemd-analyze verify --man=no deploy/systemd/millstream.service || true
  fi
}
