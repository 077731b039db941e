#!/bin/bash
# Both commands of README.md on a bare Debian, as a newcomer would type them, with times and megabytes.
#
# Usage, as root: tests/driver/bare_root.sh bookworm|trixie FOLDER [run|test]
#
# FOLDER gets the bare system from debootstrap, unless it is there from before; the repository's HEAD is copied into it.
# `run` stops after ./tutorial run 3. Nothing of the machine but its network is visible inside.
set -euo pipefail
release=${1:?which release?} root=${2:?which folder?} until=${3:-test}
repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)

[[ -x $root/bin/bash ]] || debootstrap --variant=minbase "$release" "$root" >/dev/null
rm -rf "$root/root/tutorial"
mkdir -p "$root/root/tutorial"
git -C "$repository" archive HEAD | tar -x -C "$root/root/tutorial"
cp /etc/resolv.conf /etc/hosts "$root/etc/"

cat >"$root/root/newcomer" <<'EOF'
set -euo pipefail
mount -t proc proc /proc
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmpfs /dev/shm
cd /root/tutorial

megabytes() { df --output=used -BM / | tail -n 1 | tr -dc 0-9; }
seconds() { date +%s.%N; }
report() { awk -v what="$1" -v from="$2" -v to="$(seconds)" 'BEGIN { printf "== %s: %.1f s\n", what, to - from }'; }

before=$(megabytes)
began=$(seconds)
./tutorial setup --for 3
report 'packages for step 3' "$began"
echo "== packages for step 3: $(($(megabytes) - before)) MB on the disk"

began=$(seconds)
PORT=0 ./tutorial run 3 >/tmp/run.log 2>&1 &
run=$!
until address=$(grep -o 'http://127.0.0.1:[0-9]*$' /tmp/run.log); do
  kill -0 "$run" || { cat /tmp/run.log; exit 1; }
  sleep 0.1
done
curl -fsS "$address/" | grep -o 'You are not logged in'
report './tutorial run 3, first page after the packages' "$began"

began=$(seconds)
touch step3_ttl/main.cpp
cmake --build --preset tutorial --target step3_ttl >/dev/null
report 'a changed main.cpp is built' "$began"
kill "$run"
wait "$run" || true

if [[ $1 == test ]]; then
  began=$(seconds)
  time ./tutorial test
  report './tutorial test, with its packages' "$began"
  echo "== in all: $(($(megabytes) - before)) MB on the disk"
fi
EOF
unshare --mount --pid --fork --kill-child chroot "$root" \
  env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  bash /root/newcomer "$until"
