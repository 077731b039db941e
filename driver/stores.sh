# shellcheck shell=bash
# The stores that a step needs.

# Sees that a store can be started, before anything is built.
need_store() {
  case $1 in
    redis) [[ -n ${REDIS_URL-} ]] || need redis ;;
    redis-cluster) need redis ;;
    firestore) need_firestore ;;
  esac
}

# A Redis of our own, which keeps nothing.
start_redis() {
  [[ -z ${REDIS_URL-} ]] || return 0
  local port log=$temporary_folder/redis.log
  free_port port 6379
  start redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no \
    --dir "$temporary_folder" >"$log"
  wait_until "${started[-1]}" "$log" is_open "$port"
  export REDIS_URL=redis://127.0.0.1:$port
  ((port == 6379)) || [[ ${PORT-} == 0 ]] || echo "Port 6379 is taken, so it is $port"
  echo "Redis is at $REDIS_URL; look inside: ./tutorial redis"
}

# takes_part PORT: as a primary that has a replica, or as a replica.
takes_part() {
  local state
  state=$(redis-cli -p "$1" cluster info && redis-cli -p "$1" info replication)
  [[ $state == *cluster_state:ok* ]] &&
    [[ $state == *connected_slaves:1* || $state == *master_link_status:up* ]]
}

# A Redis Cluster of our own: three primaries, and a replica of each that takes over five seconds
# after its primary has gone.
start_redis_cluster() {
  local number port bus_port nodes=() log=$temporary_folder/redis-cluster.log
  echo 'Starting a Redis Cluster of three primaries and three replicas'
  for number in 1 2 3 4 5 6; do
    free_port port "700$number"
    free_port bus_port 0
    mkdir "$temporary_folder/node$number"
    start redis-server --bind 127.0.0.1 --port "$port" --cluster-port "$bus_port" \
      --cluster-enabled yes --cluster-node-timeout 3000 --repl-diskless-sync-delay 0 \
      --save '' --appendonly no --dir "$temporary_folder/node$number" \
      >"$temporary_folder/node$number/log"
    # Whoever kills it is not told so by bash.
    disown "${started[-1]}"
    wait_until "${started[-1]}" "$temporary_folder/node$number/log" is_open "$port"
    nodes+=("127.0.0.1:$port")
    echo "Redis node $number: ${nodes[-1]}, process ${started[-1]}"
  done
  redis-cli --cluster create "${nodes[@]}" --cluster-replicas 1 --cluster-yes >"$log" ||
    fail "the cluster does not form: $(tail -n 3 "$log")"
  for port in "${nodes[@]}"; do
    wait_until "${started[-1]}" "$log" takes_part "${port#*:}"
  done
  export REDIS_URL=redis://${nodes[0]}
  echo 'Look inside: ./tutorial redis'
}

# The first answers can take longer than a page waits for them.
firestore_answers() {
  local documents="projects/$GOOGLE_CLOUD_PROJECT/databases/(default)/documents" call=(
    curl -gsf -m 30 -o /dev/null -H 'Authorization: Bearer owner' -H 'Content-Type: application/json')
  "${call[@]}" "http://$FIRESTORE_EMULATOR_HOST/v1/$documents:batchGet" \
    -d "{\"documents\": [\"$documents/warm/up\"]}" &&
    "${call[@]}" "http://$FIRESTORE_EMULATOR_HOST/v1/$documents:commit" \
      -d "{\"writes\": [{\"delete\": \"$documents/warm/up\"}]}"
}

start_firestore() {
  [[ -z ${FIRESTORE_EMULATOR_HOST-} ]] || return 0
  echo 'Starting the Firestore emulator, until it answers a read and a commit'
  local port log=$temporary_folder/firestore.log
  free_port port 8081
  start "${emulator[@]}" --host=127.0.0.1 --port="$port" >"$log" 2>&1
  export FIRESTORE_EMULATOR_HOST=127.0.0.1:$port
  export GOOGLE_CLOUD_PROJECT=${GOOGLE_CLOUD_PROJECT:-sessions-tutorial}
  wait_until "${started[-1]}" "$log" firestore_answers
  echo "The Firestore emulator is at $FIRESTORE_EMULATOR_HOST, project $GOOGLE_CLOUD_PROJECT"
}

# Starts a store and puts its address into the environment.
start_store() {
  case $1 in
    memory) export SESSION_STORE=memory: ;;
    redis) start_redis; export SESSION_STORE=$REDIS_URL ;;
    redis-cluster) start_redis_cluster; export SESSION_STORE=$REDIS_URL ;;
    firestore) start_firestore; export SESSION_STORE=firestore: ;;
  esac
}
