# Collects the results of tests/run.sh's stages: one line per test in a file, "<passed|failed|skipped> <tab> <stage> <tab> <name> <tab> <why>".
# GoogleTest programs count by test case, everything else by ctest's entry.

results_begin() { results_file=$1; : >"$results_file"; : >"$results_file.times"; }

# result <passed|failed|skipped> <stage> <name> [<why>]
result() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >>"$results_file"; }
result_time() { printf '%s %s s\n' "$1" "$2" >>"$results_file.times"; }

# skip_label <stage> <build directory> <label> <why>: counts the tests with a label as skipped, by name.
skip_label() {
  ctest --test-dir "$2" -N -L "$3" 2>/dev/null | sed -n 's/^ *Test *#[0-9]*: //p' >"$results_file.names"
  while IFS= read -r name; do result skipped "$1" "$name" "$4"; done <"$results_file.names"
}

# Reads ctest's JUnit file: one line "<status> <tab> <name> <tab> <message>" per entry.
ctest_entries() {
  awk '
    function attribute(line, key,   rest) { if (!match(line, " " key "=\"[^\"]*\"")) return ""
      rest = substr(line, RSTART, RLENGTH); sub("^ " key "=\"", "", rest); sub("\"$", "", rest); return rest }
    function flush() { if (name != "") print status "\t" name "\t" message; name = "" }
    /<testcase / { flush(); name = attribute($0, "name"); status = attribute($0, "status"); message = "" }
    /<(failure|skipped) message=/ { if (message == "") message = attribute($0, "message") }
    /^(.*<system-out>)?SKIP: / { line = $0; sub(/.*SKIP: /, "", line); sub(/<\/system-out>.*/, "", line); if (status == "notrun") message = message " " line }
    END { flush() }' "$1"
}

# Reads a GoogleTest XML file: one line "<passed|failed|skipped> <tab> <suite.case> <tab> <message>" per case that was selected.
gtest_entries() {
  awk '
    function attribute(line, key,   rest) { if (!match(line, " " key "=\"[^\"]*\"")) return ""
      rest = substr(line, RSTART, RLENGTH); sub("^ " key "=\"", "", rest); sub("\"$", "", rest); return rest }
    function flush() { if (name != "") print outcome "\t" name "\t" message; name = "" }
    /<testcase / { flush(); name = attribute($0, "classname") "." attribute($0, "name"); message = ""
      outcome = attribute($0, "result") == "completed" ? "passed" : "skipped"
      if (attribute($0, "status") == "notrun") message = "disabled" }
    /<failure / { outcome = "failed"; message = attribute($0, "message") }
    /<skipped / { outcome = "skipped"; message = attribute($0, "message"); sub(/^[^&]*&#x0A;/, "", message) }
    END { flush() }' "$1"
}

# results_of_ctest <stage> <build directory>
results_of_ctest() {
  [ -s "$2/ctest.xml" ] || return 1
  ctest_entries "$2/ctest.xml" >"$results_file.ctest"
  tab=$(printf '\t')
  while IFS="$tab" read -r status name message; do
    xml=$2/results/$name.xml
    if [ -s "$xml" ]; then
      gtest_entries "$xml" >"$results_file.gtest"
      bad=no
      while IFS="$tab" read -r outcome case why; do
        result "$outcome" "$1" "$name: $case" "$why"
        [ "$outcome" = failed ] && bad=yes
      done <"$results_file.gtest"
      # A sanitizer's report at exit fails the program although each case passed.
      if [ "$status" = fail ] && [ $bad = no ]; then result failed "$1" "$name" "${message:-failed outside its test cases}"; fi
      continue
    fi
    case $status:$message in
      run:*) result passed "$1" "$name" ;;
      notrun:SKIP_*) result skipped "$1" "$name" "${message#* }" ;;
      disabled:*) result skipped "$1" "$name" disabled ;;
      *) result failed "$1" "$name" "${message:-$status}" ;;
    esac
  done <"$results_file.ctest"
}

# Prints the summary; the status is 0 when nothing failed and something passed.
results_end() {
  tab=$(printf '\t')
  printf '\n== times\n'
  cat "$results_file.times"
  for outcome in skipped failed; do
    grep -q "^$outcome$tab" "$results_file" || continue
    printf '\n== %s\n' "$outcome"
    sed -n "s/^$outcome$tab//p" "$results_file" | awk -F '\t' '{ print "[" $1 "] " $2 ($3 == "" ? "" : " -- " $3) }'
  done
  passed=$(grep -c "^passed$tab" "$results_file")
  failed=$(grep -c "^failed$tab" "$results_file")
  skipped=$(grep -c "^skipped$tab" "$results_file")
  printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
