# Guests in languages other than Rust. If a machine cannot build one, the guest and its tests are skipped with a warning.
#
# A guest is rebuilt only if one of its files, or of the interface, is newer than the module.

PYTHON_TOOLS=.cache/tools/python
PYTHON_PACKAGES=(componentize-py==0.25.1 ziglang==0.17.1)

build_foreign_guests() {
  build_foreign tally "Go (https://go.dev/dl, or apt install golang)" go version
  build_foreign validate-bid "Node.js 20 or newer with npm" npm --version
  build_foreign convert-bid "Node.js 20 or newer with npm" npm --version
  setup_python_tools || loudly "could not install the Python packages ${PYTHON_PACKAGES[*]}"
  build_foreign enrich-item "componentize-py from pip" componentize-py --version
  build_foreign drop-low-bids "ziglang from pip" python3 -m ziglang version
}

# build_foreign NAME TOOLCHAIN-TO-INSTALL COMMAND-THAT-FAILS-WITHOUT-IT...
build_foreign() (
  local folder="examples/$1" toolchain="$2" module
  shift 2
  module="$folder/$(manifest_line "$folder" module)"
  if [ -e "$module" ] && [ -z "$(find "$folder" wit -newer "$module" -type f \
    -not -path '*/build/*' -not -path '*/node_modules/*' -not -path '*/__pycache__/*' -not -path '*/tests/*' -print -quit)" ]; then
    exit 0
  fi
  rm -f "$module"
  PATH="$PWD/$PYTHON_TOOLS/bin:$PATH"
  if ! "$@" >/dev/null 2>&1; then
    loudly "SKIPPED: $folder, which needs $toolchain"
    exit 0
  fi
  say "building $folder"
  (cd "$folder" && sh -c "$(manifest_line . build)") >&2 ||
    loudly "SKIPPED: $folder could not be built; see the lines above"
)

# The value of a manifest key that has its own line.
manifest_line() { sed -n "s/^$2 = \"\(.*\)\"/\1/p" "$1/millstream.toml"; }

setup_python_tools() {
  local stamp="$PYTHON_TOOLS/.${PYTHON_PACKAGES[*]// /_}"
  [ -e "$stamp" ] && return
  say "installing ${PYTHON_PACKAGES[*]} (once)"
  install_python_tools "$PYTHON_TOOLS" "${PYTHON_PACKAGES[@]}" && touch "$stamp"
}
