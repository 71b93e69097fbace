# Counts the instructions that each stage of the host spends on a record, and compares them with the recorded counts.
#
# Valgrind counts in a simulated processor, so the figures depend neither on the machine nor on its load.

INSTRUCTIONS=host/benches/instructions.txt

# Percent that a stage may grow before the check fails: a different compiler changes a few.
INSTRUCTIONS_MAY_GROW=10

# count_instructions [--update]
count_instructions() {
  command -v valgrind >/dev/null || install_packages valgrind
  local program counted result=0
  program=$(cargo bench --locked --workspace --bench instructions --no-run 2>&1 | tee /dev/stderr |
    sed -n 's/.*Executable.*(\(.*instructions-[0-9a-f]*\))/\1/p')
  counted=$(mktemp)
  say "counting the instructions of each stage"
  local stage records
  "$program" list | while read -r stage records; do
    printf '%s %s\n' "$stage" "$(($(instructions_of "$program" "$stage") / records))"
  done >"$counted"
  if [ "${1:-}" = --update ]; then
    { sed -n '/^#/p' "$INSTRUCTIONS"; cat "$counted"; } >"$counted.new"
    mv "$counted.new" "$INSTRUCTIONS"
  fi
  compare_instructions "$counted" || result=1
  rm -f "$counted"
  return $result
}

instructions_of() {
  local out
  out=$(mktemp)
  valgrind --tool=callgrind --callgrind-out-file="$out" --toggle-collect='*instructions::counted*' \
    "$1" "$2" >/dev/null 2>&1 || fail "valgrind could not run stage $2; try \`valgrind --tool=callgrind $1 $2\`"
  sed -n 's/^\(summary\|totals\): //p' "$out" | tail -n 1
  rm -f "$out"
}

compare_instructions() {
  awk -v may_grow="$INSTRUCTIONS_MAY_GROW" '
    /^#/ { next }
    NR == FNR { was[$1] = $2; next }
    {
      if (!($1 in was)) { verdict = "new: run ./run instructions --update"; bad = 1 }
      else if ($2 > was[$1] * (1 + may_grow / 100)) { verdict = "TOO MANY: was " was[$1]; bad = 1 }
      else if ($2 < was[$1] * (1 - may_grow / 100)) { verdict = "fewer than " was[$1] ": run ./run instructions --update" }
      else { verdict = "ok" }
      printf "%-20s %8d instructions per record   %s\n", $1, $2, verdict
    }
    END { printf "instructions: %s\n", bad ? "FAILED" : "ok"; exit bad }
  ' "$INSTRUCTIONS" "$1"
}
