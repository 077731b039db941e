# shellcheck shell=bash
# Debian packages: which ones are needed for what, and how they come.

# Debian packages, by what they are needed for.
declare -rA packages=(
  [build]='g++ cmake ninja-build pkg-config libpistache-dev libhiredis-dev libcpp-jwt-dev
           libasio-dev libcurl4-openssl-dev nlohmann-json3-dev libssl-dev uuid-dev libcli11-dev
           libspdlog-dev libfmt-dev libutf8proc-dev libgtest-dev libgmock-dev python3'
  [run]='openssl'
  [redis]='redis-server redis-tools'
  [nginx]='nginx-light'
  [classroom]='patch util-linux iproute2'
  [lint]='clang-format clang-tidy-19 shellcheck pyflakes3'
  [tests]='git curl python3-yaml valgrind'
  [browser]='chromium chromium-driver'
  [bench]='git wrk python3-flask python3-redis gunicorn golang-go
           golang-github-gorilla-sessions-dev golang-github-boj-redistore-dev'
)

# Installs what is missing of the packages for the given needs.
need() {
  local what package missing=()
  for what in "$@"; do
    for package in ${packages[$what]}; do
      [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
        missing+=("$package")
    done
  done
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# Node.js' own packages contain npm, and Debian's npm does not go with them.
need_npm() { command -v npm >/dev/null || install_packages nodejs npm; }

# What draws the diagrams in tutorial.md, to see that it can.
need_mermaid() { need_npm; python3 -m tests.docs.mermaid; }

install_packages() {
  command -v apt-get >/dev/null ||
    fail "this machine has no apt-get. Install what these Debian packages contain: $*"
  echo "Installing with apt-get: $*"
  as_root apt-get -q update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 \
    install --no-install-recommends "$@"
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "this needs root, and there is no sudo. Run as root: $*"
  fi
}
