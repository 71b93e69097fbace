# Installs the tools that a bare Debian 12 with Rust lacks: C compilers, CMake, Perl, Java 17, Kafka's artifacts, kcat,
# the Wasm target.
# Each step checks first, and installs only missing packages.

KAFKA_LIB=.cache/kafka/lib
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"

say() { printf '\033[2m· %s\033[0m\n' "$*" >&2; }
# loudly TEXT: on stderr, and counted at the end of `./run test` when it says that something is skipped.
loudly() {
  printf '\n!!! %s\n\n' "$*" >&2
  case "$*" in SKIPPED*) [ -z "${MILLSTREAM_TEST_SKIPS:-}" ] || printf '%s\n' "${*#SKIPPED: }" >>"$MILLSTREAM_TEST_SKIPS" ;; esac
}
fail() { loudly "$*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    fail "missing packages, and this user cannot install them: ${*: -1}"
  fi
}

install_packages() {
  say "installing $*"
  as_root apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "$@" >&2
}

# install_python_tools FOLDER PACKAGE...: installs into a virtual environment. Fails if a package is not available.
install_python_tools() {
  local folder="$1" packages=()
  shift
  command -v python3 >/dev/null || packages+=(python3)
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
  [ ${#packages[@]} = 0 ] || install_packages "${packages[@]}" || return
  if ! { python3 -m venv "$folder" && "$folder/bin/pip" install -q --disable-pip-version-check "$@"; } >&2; then
    rm -rf "$folder"
    return 1
  fi
}

setup() {
  command -v cargo >/dev/null || fail "Rust is not installed: install it with rustup (https://rustup.rs), then run this again"
  setup_packages
  setup_wasm_target
  setup_kafka
}

setup_packages() {
  local packages=()
  command -v cc >/dev/null || packages+=(build-essential)
  command -v make >/dev/null || packages+=(build-essential)
  command -v c++ >/dev/null || packages+=(build-essential)
  command -v cmake >/dev/null || packages+=(cmake)
  # Debian's smallest Perl lacks modules that OpenSSL's build uses.
  perl -MFindBin -MIPC::Cmd -e 1 2>/dev/null || packages+=(perl)
  command -v pkg-config >/dev/null || packages+=(pkg-config)
  command -v kcat >/dev/null || packages+=(kcat)
  command -v openssl >/dev/null || packages+=(openssl)
  command -v setpriv >/dev/null || packages+=(util-linux)
  command -v script >/dev/null || packages+=(bsdutils)
  python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
  java_is_17 || packages+=(openjdk-17-jre-headless)
  [ -e "$KAFKA_LIB/.complete" ] || command -v mvn >/dev/null || packages+=(maven)
  [ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"
}

# For the test of the web page. Without a browser, that test is skipped with a warning.
setup_browser() {
  command -v chromedriver >/dev/null && command -v chromium >/dev/null && return
  say "installing chromium and chromium-driver"
  { as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends \
    chromium chromium-driver fonts-dejavu-core; } >&2 ||
    loudly "SKIPPED: could not install chromium and chromium-driver; the web page is not tested in a browser"
}

# Only the benchmarks and the Java clients of the tests compile Java.
setup_jdk() {
  local packages=()
  command -v javac >/dev/null || packages+=(openjdk-17-jdk-headless)
  command -v mvn >/dev/null || packages+=(maven)
  [ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"
}

java_is_17() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${version:-0}" -ge 17 ]
}

setup_wasm_target() {
  local library
  library="$(rustc --print sysroot)/lib/rustlib/wasm32-wasip2/lib"
  [ -d "$library" ] && return
  if command -v rustup >/dev/null; then
    say "adding the Rust target wasm32-wasip2"
    rustup target add wasm32-wasip2 >&2 && return
  fi
  fail "the Rust target wasm32-wasip2 is missing and rustup cannot add it; see examples/README.md for how to build guests
    with Debian's packages (rust-web-src, lld-19), then set MILLSTREAM_DEMO_MODULES to them"
}

setup_kafka() {
  [ -e "$KAFKA_LIB/.complete" ] && [ "$KAFKA_LIB/.complete" -nt tests/kafka/pom.xml ] && return
  say "downloading Apache Kafka as Maven artifacts"
  mkdir -p "$KAFKA_LIB"
  mvn -q -B -f tests/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/$KAFKA_LIB" >&2
  touch "$KAFKA_LIB/.complete"
}
