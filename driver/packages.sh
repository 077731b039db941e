# shellcheck shell=bash
# Packages: what is missing of driver/packages.txt, how large it is, and how it comes.

# A program that counts, wherever it comes from, for the package that Debian has it in.
declare -rA program_of=(
  [g++]=g++ [cmake]=cmake [ninja-build]=ninja [openssl]=openssl [curl]=curl [redis-server]=redis-server
  [redis-tools]=redis-cli [nginx-light]=nginx [default-jre-headless]=java [npm]=npm [gnupg]=gpg
  [chromium]=chromium [chromium-driver]=chromedriver [python3]=python3 [git]=git [patch]=patch
)

# Prints the column of driver/packages.txt for this system: its own, or the newest Debian's.
system_column() {
  local ID='' VERSION_ID=''
  # shellcheck source=/dev/null
  . "${os_release:-/etc/os-release}"
  case $ID-$VERSION_ID in
    debian-12) echo 3 ;;
    ubuntu-24.04) echo 5 ;;
    *) echo 4 ;;
  esac
}

# Prints the packages for the given needs that are missing.
missing_packages() {
  local column names installed package
  column=$(system_column)
  names=$(awk -v column="$column" -v needs=" $* " \
    '!/^#/ && index(needs, " " $1 " ") && $column != "-" && !seen[$2]++ { print $2 }' driver/packages.txt)
  # shellcheck disable=SC2086  # a word each
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $names 2>/dev/null || true)
  for package in $names; do
    [[ $'\n'$installed$'\n' == *$'\n'"$package installed"$'\n'* ]] ||
      { [[ -n ${program_of[$package]-} ]] && command -v "${program_of[$package]}" >/dev/null; } ||
      echo "$package"
  done
}

# Installs what is missing of the packages for the given needs.
need() {
  local missing=()
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# The same for what can be done without: returns 1, and says so, if it does not come.
try_need() { (need "$@"); }

# What draws the diagrams in tutorial.md, to see that it can.
need_mermaid() { command -v npm >/dev/null || need node; python3 -m tests.docs.mermaid; }

install_packages() {
  command -v apt-get >/dev/null || fail \
    "this system has no apt-get, and these Debian packages are missing: $*" \
    'Use the container instead: docker compose up step3'
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    fail 'packages are missing, and only root can install them. As root, run:' \
      '  apt-get update' "  apt-get install --no-install-recommends $*"
  fi
  echo "Installing with apt-get: $*"
  local log size
  log=$(mktemp)
  as_root apt-get -q update >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; fail 'apt-get update failed'; }
  size=$(apt-get install --no-install-recommends --assume-no "$@" 2>/dev/null |
    sed -n 's/^Need to get \(.*\) of archives.*/\1 to download/p; s/^After this operation, \(.*\) of additional.*/\1 on the disk/p' |
    paste -sd, | sed 's/,/, /') || true
  [[ -z $size ]] || echo "  $size"
  # Each line tells the state, the package, the percentage and what is done.
  if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 \
    -o Dpkg::Use-Pty=0 -o APT::Status-Fd=3 install --no-install-recommends "$@" 3>&1 >"$log" 2>&1 |
    while IFS=: read -r kind _ percent what; do
      case $kind in
        dlstatus) progress "  downloading: ${percent%.*} %" ;;
        pmstatus) progress "  ${percent%.*} % $what" ;;
      esac
    done; then
    progress_end
    tail -n 20 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install: $*"
  fi
  progress_end
  rm -f "$log"
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo "$@"
  fi
}

#: setup [--for N]             install what building, running and testing needs and is missing
#:   --for N                     only what it takes to run steps 1 to N
#:   --contributor               also what contributors need: lint, the text's tests, benchmarks, Node.js
verb_setup() {
  parse for "$@"
  local needs=(build run redis) word firestore=yes what='the tutorial needs'
  case ${option[for]-} in
    '') needs+=(nginx browser) ;;
    1) needs=(build run) firestore='' ;;
    [23]) firestore='' ;;
    4) ;;
    5) needs+=(nginx) ;;
    *) wrong_usage "--for needs the number of a step, not '${option[for]}'" ;;
  esac
  [[ -z ${option[for]-} ]] || what="steps 1 to ${option[for]} need"
  for word in "${arguments[@]}"; do
    case $word in
      --contributor) needs+=(classroom lint tests bench node) ;;
      *) wrong_usage "setup has no '$word'" ;;
    esac
  done
  need "${needs[@]}"
  [[ -z $firestore ]] || need_firestore
  case " ${arguments[*]} " in *' --contributor '*) need_mermaid ;; esac
  echo "Everything that $what is installed"
}
