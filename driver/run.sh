# shellcheck shell=bash
# Running a step.

# --- Several instances behind nginx ---------------------------------------------------------------

# start_instances COUNT COMMAND...: sets ports.
ports=()
start_instances() {
  local number log
  for ((number = 1; number <= $1; number++)); do
    log=$temporary_folder/instance$number.log
    : >"$log"
    start "${@:2}" --port 0 >"$log"
    wait_until "${started[-1]}" "$log" grep -q ' listening on ' "$log"
    ports+=("$(grep -o '[0-9]*$' "$log")")
    echo "instance $number: http://127.0.0.1:${ports[-1]}, process ${started[-1]}"
  done
}

start_nginx() {
  local port=$1 log=$temporary_folder/nginx.log settings servers
  settings=$(<step5_sessionstore/nginx.conf)
  printf -v servers 'server 127.0.0.1:%s max_fails=1 fail_timeout=1s; ' "${ports[@]}"
  settings=${settings//@SERVERS@/$servers}
  echo "${settings//@PORT@/$port}" >"$temporary_folder/nginx.conf"
  : >"$log"
  start nginx -e stderr -p "$temporary_folder" -c nginx.conf \
    -g "daemon off; user $(id -un) $(id -gn);" 2>"$log"
  stop_signal[${started[-1]}]=QUIT
  wait_until "${started[-1]}" "$log" is_open "$port"
}

#: run N [OPTIONS]             build step N, start the store it needs, serve until Ctrl-C
#:   --instances COUNT           several processes behind nginx, round robin
#:   --store memory|redis|firestore   where step 5 keeps its sessions (default: memory)
#:   any other option goes to the server, such as --port 8000
verb_run() {
  parse 'store|instances|port' "$@"
  local step store=${option[store]-} instances=${option[instances]-1} port=${option[port]-}
  step=$(step_name "${arguments[0]-}")
  local server=("$build_folder/bin/$step" "${arguments[@]:1}")
  [[ $instances =~ ^[1-9][0-9]?$ ]] || wrong_usage "--instances needs a number from 1 to 99"
  case $step,$store in
    step[23]_*,) store=redis ;;
    step4_*,) store=firestore ;;
    *, | step5_*,memory | step5_*,redis | step5_*,firestore) ;;
    step5_*) wrong_usage "--store is one of memory, redis, firestore, not '$store'" ;;
    *) wrong_usage 'only step 5 has --store' ;;
  esac

  need build run
  build "$step"
  prepare_to_stop
  start_store "$store"
  [[ -n ${SECRET_KEY-} ]] || SECRET_KEY=$(openssl rand -hex 32)
  export SECRET_KEY
  if ((instances == 1)); then
    start "${server[@]}" ${port:+--port "$port"}
  else
    need nginx
    start_instances "$instances" "${server[@]}"
    port=${port:-$(free_port "${PORT:-5000}")}
    start_nginx "$port"
    echo "$step listening on http://127.0.0.1:$port"
  fi
  # From here on Ctrl-C is how it is meant to end: the exit status is the server's.
  local foreground=${started[-1]}
  trap 'stop_last; wait "$foreground"; exit' INT TERM HUP
  wait "$foreground"
}
