# shellcheck shell=bash
# Running a step.

#: run N [OPTIONS]             build step N, start the store it needs, serve until Ctrl-C
#:   --store memory|redis|redis-cluster|firestore
#:                               where step 5 keeps its sessions (default: memory)
#:   --instances COUNT           several processes behind nginx, round robin
#:   --port PORT                 default: 5000, for step 4 8080, or the next one that is free
#:   --host ADDRESS              default: 127.0.0.1; 0.0.0.0 lets other machines in
#:   --secret-file FILE          sign with the key in FILE, which is made if it is not there
#:   --watch                     build and start again, with the same store, when a source is saved
#:   --mine                      your main.cpp in my/stepN, which ./tutorial start N lays out
#:   --broken NAME               with one fault: isolation, blocking (step 2), naive-update (step 4)
#:   any other option goes to the server; ./tutorial run N --help shows them
verb_run() {
  parse 'store|instances|port|host|secret-file|broken' "$@"
  local step watch='' server word
  variant=()
  local store=${option[store]-} instances=${option[instances]-1}
  step=$(step_name "${arguments[0]-}")
  server=("$build_folder/bin/$step")
  for word in "${arguments[@]:1}"; do
    case $word in
      --watch) watch=yes ;;
      --mine) variant=(mine) ;;
      *) server+=("$word") ;;
    esac
  done
  [[ $instances =~ ^[1-9][0-9]?$ ]] || wrong_usage "--instances needs a number from 1 to 99"
  if [[ -n ${option[broken]+set} ]]; then
    variant=(broken "${option[broken]}")
    [[ -f variants/broken/${option[broken]}.diff ]] ||
      wrong_usage "there is no --broken '${option[broken]}': $(cd variants/broken && echo *.diff)"
  fi
  [[ -z $watch ]] || ((instances == 1)) || wrong_usage '--watch goes with one instance only'
  case $step,$store in
    step[23]_*,) store=redis ;;
    step4_*,) store=firestore ;;
    *, | step5_*,memory | step5_*,redis | step5_*,redis-cluster | step5_*,firestore) ;;
    step5_*) wrong_usage "--store is one of memory, redis, redis-cluster, firestore, not '$store'" ;;
    *) wrong_usage 'only step 5 has --store' ;;
  esac

  # All that is needed, before the minutes that building may take.
  need build run
  need_store "$store"
  ((instances == 1)) || need nginx
  ((${#variant[@]} == 0)) || need classroom
  local host port
  host=${option[host]-${HOST:-127.0.0.1}}
  port=${option[port]-${PORT-}}
  # 0 is up to the server, which can tell what is free best; the others need to know it before.
  [[ $port == 0 && $instances == 1 && -z $watch$inspecting ]] || choose_port "$step" "$host"
  build "$step" ${inspecting:+inspector}
  until server[0]=$(program_of "$step"); do
    [[ -n $watch && ${variant[0]-} == mine ]] || exit 1
    wait_for_save "$step"
  done
  case " ${server[*]} " in *' --help '* | *' -h '*) exec "${server[@]}" ;; esac

  prepare_to_stop
  [[ $step == step4_* ]] || use_secret "${option[secret-file]-}"
  start_store "$store"
  remember_run "$step"
  local visitors=$port ready
  if [[ -z $inspecting ]]; then
    exec {ready}>&1
  else
    exec {ready}>"$temporary_folder/step.log"
    put_inspector_before "$visitors"
  fi
  if ((instances == 1)); then
    server+=(--host "$host" --port "$port")
    start "${server[@]}" >&"$ready"
  else
    start_instances "$instances" "${server[@]}"
    start_nginx "$host" "$port"
    echo "$step listening on http://$host:$port" >&"$ready"
  fi
  exec {ready}>&-
  [[ -z $inspecting ]] || say_inspected "$step" "$visitors" "$temporary_folder/step.log"
  if [[ -n $watch ]]; then
    watch_and_restart "$step" "${server[@]}"
  fi
  # From here on Ctrl-C is how it is meant to end: the exit status is the server's.
  local foreground=${started[-1]}
  trap 'stop_last; wait "$foreground" 2>/dev/null; exit' INT TERM HUP
  local status=0
  wait "$foreground" 2>/dev/null || status=$?
  ((status < 128)) || echo "$step was ended by signal $((status - 128))" >&2
  return "$status"
}

# choose_port STEP HOST: leaves `port` if it is free, and sets it to the step's usual one or the next
# that is free if it is empty.
choose_port() {
  local usual=5000
  case $1 in step4_*) usual=8080 ;; esac
  case $port in
    '')
      free_port port "$usual" "$2"
      ((port == usual)) || echo "Port $usual is taken, so it is $port" >&2
      ;;
    0) free_port port 0 "$2" ;;
    *[!0-9]*) wrong_usage "--port needs a number, not '$port'" ;;
    *)
      ! is_open "$port" "$2" ||
        fail "port $port is taken: another program listens there. Stop it or choose another --port"
      given_ports[$port]=yes
      ;;
  esac
}

# use_secret FILE: the key in the file, or else in SECRET_KEY, or else a new one.
use_secret() {
  local file=$1
  if [[ -n $file ]]; then
    [[ -e $file ]] || (umask 077; openssl rand -hex 32 >"$file") ||
      fail "cannot write --secret-file $file"
    SECRET_KEY=$(<"$file") || fail "cannot read --secret-file $file"
  elif [[ -z ${SECRET_KEY-} ]]; then
    SECRET_KEY=$(openssl rand -hex 32)
    echo 'SECRET_KEY is new: a restart ends all logins. --secret-file FILE keeps it'
  fi
  export SECRET_KEY
}

# --- Building and starting again -----------------------------------------------------------------

variant=()  # mine, or broken NAME: the step with other sources

# Prints the path of the step's program, or builds and prints that of the variant.
program_of() {
  if ((${#variant[@]} == 0)); then
    echo "$build_folder/bin/$1"
  else
    python3 -m exercises.tool.variants "${variant[0]}" "${1:4:1}" "${variant[@]:1}"
  fi
}

# newer_sources STEP FILE: prints something if a source that the step is built from is newer.
newer_sources() {
  local folders=(step[1-9]_*)
  [[ ${variant[0]-} != mine ]] || folders+=("my/step${1:4:1}")
  find "${folders[@]}" -name '*.[ch]pp' -newer "$2" -print -quit
}

wait_for_save() {
  local seen=$build_folder/seen
  touch "$seen"
  echo 'Save a source to build again'
  until [[ -n $(newer_sources "$1" "$seen") ]]; do sleep 0.3; done
}

# Returns when the server ends by itself, or never.
watch_and_restart() {
  local step=$1 seen=$temporary_folder/seen
  trap 'exit 0' INT TERM HUP
  touch "$seen"
  echo 'Watching the sources; save one to build and start again'
  while kill -0 "${started[-1]}" 2>/dev/null; do
    if [[ -n $(newer_sources "$step" "$seen") ]]; then
      touch "$seen"
      # In a process of its own: what does not compile leaves the running server alone.
      if (build "$step" && program_of "$step" >/dev/null); then
        stop_last
        start "${@:2}"
      fi
    fi
    sleep 0.3
  done
}

# --- Several instances behind nginx ---------------------------------------------------------------

# start_instances COUNT COMMAND...: sets ports.
ports=()
start_instances() {
  local number log
  for ((number = 1; number <= $1; number++)); do
    log=$temporary_folder/instance$number.log
    : >"$log"
    start "${@:2}" --host 127.0.0.1 --port 0 >"$log"
    # Whoever kills it is not told so by bash.
    disown "${started[-1]}"
    wait_until "${started[-1]}" "$log" grep -q ' listening on ' "$log"
    ports+=("$(grep -o '[0-9]*$' "$log")")
    echo "instance $number: http://127.0.0.1:${ports[-1]}, process ${started[-1]}"
  done
}

start_nginx() {
  local host=$1 port=$2 log=$temporary_folder/nginx.log settings servers next='' i
  settings=$(<step5_sessionstore/nginx.conf)
  printf -v servers 'server 127.0.0.1:%s max_fails=0; ' "${ports[@]}"
  for i in "${!ports[@]}"; do
    next+="~:${ports[i]}\$ 127.0.0.1:${ports[(i + 1) % ${#ports[@]}]}; "
  done
  settings=${settings//@SERVERS@/$servers}
  settings=${settings//@NEXT@/$next}
  settings=${settings//@HOST@/$host}
  # So that the inspector can say which instance answered.
  [[ -z $inspecting ]] ||
    settings=${settings/proxy_http_version/add_header X-Instance \$upstream_addr always; proxy_http_version}
  echo "${settings//@PORT@/$port}" >"$temporary_folder/nginx.conf"
  : >"$log"
  start nginx -e stderr -p "$temporary_folder" -c nginx.conf \
    -g "daemon off; user $(id -un) $(id -gn);" 2>"$log"
  stop_signal[${started[-1]}]=QUIT
  wait_until "${started[-1]}" "$log" is_open "$port" "$host"
}

# --- Looking inside while a step runs ---------------------------------------------------------------

#: redis [COMMAND...]          send a command to the Redis of the running step (redis-cli)
verb_redis() {
  running_step REDIS_URL
  need redis
  case $REDIS_URL in
    unix://*) fail "redis-cli takes no $REDIS_URL. Try: redis-cli -s PATH" ;;
  esac
  exec redis-cli -c --no-raw --no-auth-warning -u "$REDIS_URL" "$@"
}

#: firestore [/PATH] [FIELD=VALUE ...] [CURL OPTIONS]   show a document or a collection in the running step's emulator
#:   FIELD=VALUE                 write these fields of the document: whole numbers and texts
#:   read ID                     the first call of a transaction: a session's fields, and its version
#:   commit ID FIELD VALUE UPDATETIME   the second: write a field, if that is still the version
verb_firestore() {
  running_step FIRESTORE_EMULATOR_HOST
  need run
  local path=${1-} documents word json='' separator='' mask='' options=()
  documents="projects/${GOOGLE_CLOUD_PROJECT:-sessions-tutorial}/databases/(default)/documents"
  case $path in
    read | commit) transaction_by_hand "$documents" "$@"; return ;;
  esac
  for word in "${@:2}"; do
    if [[ -z ${options[*]} && $word =~ ^([a-zA-Z]+)=(.*)$ ]]; then
      mask+="${mask:+&}updateMask.fieldPaths=${BASH_REMATCH[1]}"
      json+=$separator$(firestore_field "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}")
      separator=,
    else
      options+=("$word")
    fi
  done
  [[ -z $json ]] || options=(-X PATCH -d "{\"fields\":{$json}}" "${options[@]}")
  exec curl -sS --noproxy '*' -H 'Authorization: Bearer owner' -H 'Content-Type: application/json' \
    "http://$FIRESTORE_EMULATOR_HOST/v1/$documents$path${mask:+?$mask}" "${options[@]}"
}

# transaction_by_hand DOCUMENTS read|commit ID ...: one of the two calls, and what matters of its answer.
transaction_by_hand() {
  local name=$1/sessions/${3-} body answer
  case $2,$# in
    read,3) body="{\"documents\":[\"$name\"]}" ;;
    commit,6)
      body="{\"writes\":[{\"update\":{\"name\":\"$name\",\"fields\":{$(firestore_field "$4" "$5")}},"
      body+="\"updateMask\":{\"fieldPaths\":[\"$4\"]},\"currentDocument\":{\"updateTime\":\"$6\"}}]}"
      ;;
    *) wrong_usage 'firestore read ID, or firestore commit ID FIELD VALUE UPDATETIME' ;;
  esac
  answer=$(curl -sS --noproxy '*' -H 'Authorization: Bearer owner' -H 'Content-Type: application/json' \
    "http://$FIRESTORE_EMULATOR_HOST/v1/$1:${2/read/batchGet}" -d "$body")
  python3 - "$answer" <<'PYTHON'
import json, sys
answer = json.loads(sys.argv[1])
first = answer[0] if isinstance(answer, list) else answer
document = first.get("found") or first.get("writeResults", [{}])[0]
if error := first.get("error"):
    print(f"refused: {error['status']}: {error['message']}")
elif "missing" in first:
    print("there is no such session")
else:
    for field, value in sorted(document.get("fields", {}).items()):
        print(f"{field:10}  {next(iter(value.values()))}")
    print(f"updateTime  {document['updateTime']}")
sys.exit(1 if error else 0)
PYTHON
}

# firestore_field NAME VALUE: as the REST API writes it.
firestore_field() {
  local value=${2//\\/\\\\}
  value=${value//\"/\\\"}
  if [[ $value =~ ^-?[0-9]+$ ]]; then
    printf '"%s":{"integerValue":"%s"}' "$1" "$value"
  else
    printf '"%s":{"stringValue":"%s"}' "$1" "$value"
  fi
}

# What a running step's store is, for the commands above, in a file that is named after this process.
remember_run() {
  mkdir -p build/running
  run_file=build/running/$$
  local name
  for name in REDIS_URL FIRESTORE_EMULATOR_HOST GOOGLE_CLOUD_PROJECT; do
    [[ -z ${!name-} ]] || printf '%s=%q\n' "$name" "${!name}"
  done >"$run_file"
}

# running_step NAME: sets NAME, unless it is set, to what the step has that was started last.
running_step() {
  [[ -z ${!1-} ]] || return 0
  local file
  while IFS= read -r file; do
    if kill -0 "${file##*/}" 2>/dev/null; then
      # shellcheck source=/dev/null
      grep -q "^$1=" "$file" && . "$file" && return
    else
      rm -f "$file"  # of one that was killed
    fi
  done < <(ls -t build/running/* 2>/dev/null)
  case $1 in
    REDIS_URL) fail 'no step that uses Redis is running. Start one: ./tutorial run 2' ;;
    *) fail 'no step that uses Firestore is running. Start one: ./tutorial run 4' ;;
  esac
}
