# shellcheck shell=bash
# Processes that this script starts, and stops.

started=()              # in the order in which they were started
declare -A stop_signal  # of those that TERM does not stop gently
declare -A given_ports  # for their listeners, which may not be there yet
temporary_folder=       # for what they write
run_file=               # for ./tutorial redis and firestore

# Starts a process that Ctrl-C at the terminal does not reach, for the order matters: servers stop
# before their store does.
start() {
  setsid "$@" </dev/null &
  started+=("$!")
}

# Stops the process that was started last and all that it has started. Without `wait`: of a child
# that dies when a trap begins, bash may not hear, and would wait for ever.
stop_last() {
  local process=${started[-1]} tenths
  local signal=${stop_signal[$process]-TERM}
  unset 'started[-1]'
  kill -s "$signal" -- "-$process" 2>/dev/null || kill -s "$signal" "$process" 2>/dev/null || true
  for ((tenths = 0; tenths < 150; tenths++)); do
    kill -0 -- "-$process" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$process" 2>/dev/null || true
}

stop_everything() {
  local status=$?
  trap '' INT TERM HUP
  while ((${#started[@]})); do
    stop_last
  done
  rm -rf "$temporary_folder" "$run_file"
  exit "$status"
}

prepare_to_stop() {
  temporary_folder=$(mktemp -d)
  trap stop_everything EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# free_port VARIABLE PORT [HOST]: sets the variable to a port that is free and that nobody has been
# given yet: PORT or the next, so that what the tutorial says can be typed as it is. 0, or PORT=0 in
# the environment: any other, so that tests can run beside each other; those in C++ take lower ones.
free_port() {
  local -n free=$1
  free=$2
  [[ ${PORT-} != 0 && $free != 0 ]] || free=$((26000 + RANDOM % 6000))
  while [[ -n ${given_ports[$free]-} ]] || is_open "$free" "${@:3}"; do
    free=$((free + 1))
  done
  given_ports[$free]=yes
}

# is_open PORT [HOST]
is_open() { (: <"/dev/tcp/${2:-127.0.0.1}/$1") 2>/dev/null; }

# wait_until PROCESS LOG COMMAND...: returns when the command succeeds; fails when the process ends.
wait_until() {
  local process=$1 log=$2
  until "${@:3}"; do
    if ! kill -0 "$process" 2>/dev/null; then
      cat "$log" >&2
      fail 'a process that is needed did not start; its messages are above'
    fi
    sleep 0.05
  done
}
