# A real single-node Apache Kafka (KRaft, combined broker and controller), on loopback.

KAFKA_RUN=.cache/kafka-run

kafka() {
  case "${1:-}" in
    start) shift; kafka_start "$@" ;;
    stop) kafka_stop ;;
    status) kafka_status ;;
    *) fail "usage: ./run kafka start [--port N] | stop | status" ;;
  esac
}

kafka_is_up() { [ -f "$KAFKA_RUN/pid" ] && kill -0 "$(cat "$KAFKA_RUN/pid")" 2>/dev/null; }

kafka_status() {
  if kafka_is_up; then printf 'running at %s\n' "$(cat "$KAFKA_RUN/bootstrap")"; else echo 'not running'; fi
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

kafka_start() {
  if kafka_is_up; then kafka_status; return; fi
  local port=${2:-}
  [ "${1:-}" = --port ] || port=$(free_port)
  rm -rf "$KAFKA_RUN"
  mkdir -p "$KAFKA_RUN"
  sed -e "s/@PORT@/$port/; s/@CONTROLLER@/$(free_port)/; s|@DATA@|$PWD/$KAFKA_RUN/data|" tests/kafka/server.properties \
    >"$KAFKA_RUN/server.properties"
  local java=(java -Xmx512m -cp "$KAFKA_LIB/*" "-Dlog4j2.configurationFile=$PWD/tests/kafka/log4j2.properties")
  "${java[@]}" kafka.tools.StorageTool format -t 5L6g3nShT-eMCtK--X86sw -c "$KAFKA_RUN/server.properties" \
    >"$KAFKA_RUN/log" 2>&1 || { cat "$KAFKA_RUN/log" >&2; fail "could not format Kafka's storage; its log is above"; }
  nohup "${java[@]}" kafka.Kafka "$KAFKA_RUN/server.properties" >>"$KAFKA_RUN/log" 2>&1 </dev/null &
  echo $! >"$KAFKA_RUN/pid"
  echo "127.0.0.1:$port" >"$KAFKA_RUN/bootstrap"
  for _ in $(seq 300); do
    kafka_is_up || { tail -n 20 "$KAFKA_RUN/log" >&2; fail "Kafka exited during startup; its log is above"; }
    if grep -q 'Kafka Server started' "$KAFKA_RUN/log"; then kafka_status; return; fi
    sleep 0.1
  done
  tail -n 20 "$KAFKA_RUN/log" >&2
  fail "Kafka did not start within 30 s; its log is above"
}

kafka_stop() {
  kafka_is_up || { echo 'not running'; return; }
  local pid
  pid=$(cat "$KAFKA_RUN/pid")
  kill "$pid"
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$KAFKA_RUN/pid"
  echo 'stopped'
}
