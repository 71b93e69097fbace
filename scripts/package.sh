# The archive that users install: the binary, its licence, the documents and the deployment files.

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
  # Strip debugger data only: function names stay, so backtraces are readable.
  strip --strip-debug "$folder/millstream"
  cp LICENSE README.md CHANGELOG.md "$folder/"
  cp -r docs deploy "$folder/"
  tar --sort=name --owner=0 --group=0 --numeric-owner -C target/package -czf "target/package/$name.tar.gz" "$name"
  "$folder/millstream" --version >/dev/null
  (cd target/package && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
  printf 'target/package/%s.tar.gz\n' "$name"
}

# Reads the files of deploy/ with the parsers of the programs that use them.
test_packaging() {
  if ! command -v go >/dev/null; then
    loudly "SKIPPED: Go is not installed; the files of deploy/ were not checked with the Compose, Kubernetes, KEDA and Prometheus parsers"
    return 0
  fi
  if ! (cd tests/packaging && go list -deps -test ./... >/dev/null); then
    loudly "SKIPPED: could not fetch the Go packages that check the files of deploy/"
    return 0
  fi
  (cd tests/packaging && go test ./...) || return 1
  if ! docker info >/dev/null 2>&1; then
    say "no container engine: the image was not built, and the compose file was parsed but not run"
  fi
  if command -v systemd-analyze >/dev/null; then
    systemd-analyze verify --man=no deploy/systemd/millstream.service || true
  fi
}
