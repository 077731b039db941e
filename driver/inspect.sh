# shellcheck shell=bash
# Looking at a server's cookies, requests and store while it runs (inspector/).

inspecting=  # not empty where the step that is started is to be inspected

#: inspect N [OPTIONS]         run step N as `run` does, and show cookies, requests and store side by side
#: inspect --url URL           the same for a server that is already running, in whatever language
#:   --redis URL                 where its Redis is; prints what to give the server instead
#:   --firestore HOST:PORT       where its Firestore emulator is; the same
#:   --port PORT                 where its visitors go (default: 5000)
verb_inspect() {
  parse 'url|redis|firestore|host|port' "$@"
  [[ ${option[host]-127.0.0.1} == 127.0.0.1 ]] ||
    wrong_usage 'no --host: the inspector shows everything, so it is for this machine only'
  if [[ -z ${option[url]-} ]]; then
    inspecting=yes
    arguments=()  # verb_run reads them again
    verb_run "$@"
    return
  fi
  need build
  build inspector
  prepare_to_stop
  local visitors variable=REDIS_URL
  free_port visitors "${option[port]-${PORT:-5000}}"
  export INSPECT_REDIS=${option[redis]-} INSPECT_FIRESTORE=${option[firestore]-}
  [[ -z $INSPECT_FIRESTORE ]] || variable=FIRESTORE_EMULATOR_HOST
  start_inspector "${option[url]}" "$visitors"
  [[ -z $INSPECT_REDIS$INSPECT_FIRESTORE ]] ||
    echo "To see its store, start the server with $variable=$(address_of_tap)"
  echo "The inspector is at $(address_of_inspector)"
  echo "Visit http://127.0.0.1:$visitors instead of the server listening on ${option[url]}"
  wait "${started[-1]}"
}

# put_inspector_before PORT: the visitors' port is PORT; the server has to take the one in `port`.
put_inspector_before() {
  local visitors=$1 store=${REDIS_URL-}
  free_port port 0
  export INSPECT_REDIS='' INSPECT_FIRESTORE=''
  case ${SESSION_STORE-} in
    redis*) INSPECT_REDIS=$store ;;
    firestore:) INSPECT_FIRESTORE=$FIRESTORE_EMULATOR_HOST ;;
  esac
  start_inspector "http://127.0.0.1:$port" "$visitors"
  disown "${started[-1]}"  # whoever kills it is not told so by bash
  case ${SESSION_STORE-} in
    redis*) REDIS_URL=$(address_of_tap); SESSION_STORE=$REDIS_URL ;;
    firestore:) FIRESTORE_EMULATOR_HOST=$(address_of_tap) ;;
  esac
}

# start_inspector SERVER VISITORS_PORT
start_inspector() {
  local own log=$temporary_folder/inspector.log
  free_port INSPECT_STORE_PORT 0
  free_port own 5001
  export INSPECT_URL=$1 INSPECT_PORT=$2 INSPECT_STORE_PORT
  : >"$log"
  start "$build_folder/bin/inspector" --host 127.0.0.1 --port "$own" >"$log" 2>&1
  wait_until "${started[-1]}" "$log" grep -q ' listening on ' "$log"
}

address_of_inspector() { sed -n 's/.* listening on //p' "$temporary_folder/inspector.log"; }

# Where the server finds its store: the tap before it.
address_of_tap() {
  case $INSPECT_REDIS in
    '') echo "127.0.0.1:$INSPECT_STORE_PORT" ;;
    *) sed -E "s,^rediss?://([^@/]*@)?[^/@]*,redis://\1127.0.0.1:$INSPECT_STORE_PORT," <<<"$INSPECT_REDIS" ;;
  esac
}

# say_inspected STEP VISITORS_PORT LOG: once the server is there.
say_inspected() {
  wait_until "${started[-1]}" "$3" grep -q ' listening on ' "$3"
  echo "The inspector is at $(address_of_inspector)"
  echo "$1 listening on http://127.0.0.1:$2"
}
