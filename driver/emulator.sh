# shellcheck shell=bash
# Google's emulator of Firestore: where it is found, and the ways in which it comes by itself.

emulator=()  # the command that starts it

# Where the Google Cloud CLI puts it: Debian's package, snap, Google's own installer.
emulator_folders=(/usr/lib/google-cloud-sdk /usr/share/google-cloud-sdk
  /snap/google-cloud-cli/current ~/google-cloud-sdk)
readonly google_source=https://packages.cloud.google.com/apt

find_emulator() {
  local gcloud folder jar
  gcloud=$(readlink -f "$(command -v gcloud)" || true)
  for folder in "${gcloud%/bin/gcloud}" "${emulator_folders[@]}"; do
    emulator=("$folder/platform/cloud-firestore-emulator/cloud_firestore_emulator" start)
    [[ ! -x ${emulator[0]} ]] || return 0
  done
  # Where `firebase setup:emulators:firestore` puts it.
  for jar in ~/.cache/firebase/emulators/cloud-firestore-emulator-*.jar; do
    emulator=(java -jar "$jar")
    [[ ! -f $jar ]] || return 0
  done
  return 1
}

# Installs the emulator and Java if they are missing. Returns 1, with a line for each way that
# failed, if they don't come.
try_firestore() {
  [[ -z ${FIRESTORE_EMULATOR_HOST-} ]] || return 0
  find_emulator || emulator_from_google || emulator_from_npm || return 1
  find_emulator && try_need java
}

need_firestore() {
  try_firestore || fail \
    'the Firestore emulator is missing and could not be installed. Install one of' \
    '  apt-get install google-cloud-cli-firestore-emulator   (https://cloud.google.com/sdk/docs/install#deb)' \
    '  npx firebase-tools setup:emulators:firestore   (needs Node.js)' \
    'or set FIRESTORE_EMULATOR_HOST. See https://cloud.google.com/firestore/docs/emulator'
}

# Google's apt source, signed with Google's key, as https://cloud.google.com/sdk/docs/install#deb says.
emulator_from_google() {
  local package=google-cloud-cli-firestore-emulator
  command -v apt-get >/dev/null || return 1
  if ! apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
    echo "The Firestore emulator comes from Google's apt source, $google_source"
    try_need run source || return 1
    local key
    key=$(mktemp)
    if ! curl -fsS --connect-timeout 10 --max-time 60 "$google_source/doc/apt-key.gpg" >"$key"; then
      rm -f "$key"
      echo '  it cannot be reached'
      return 1
    fi
    (add_google_source "$key") || { rm -f "$key"; return 1; }
    rm -f "$key"
  fi
  echo 'The Firestore emulator with the Google Cloud CLI takes about 600 MB on the disk'
  (install_packages "$package") || return 1
}

# add_google_source KEY: takes it back if apt cannot read it, so that apt works as before.
add_google_source() {
  local list=/etc/apt/sources.list.d/google-cloud-sdk.list keyring=/usr/share/keyrings/cloud.google.gpg
  gpg --dearmor <"$1" | as_root tee "$keyring" >/dev/null
  echo "deb [signed-by=$keyring] $google_source cloud-sdk main" | as_root tee "$list" >/dev/null
  as_root apt-get -q update >/dev/null 2>&1 || { as_root rm -f "$list" "$keyring"; return 1; }
}

# npm's package firebase-tools, which downloads the same program.
emulator_from_npm() {
  echo "The Firestore emulator comes with npm's package firebase-tools, about 300 MB on the disk"
  try_need node || return 1
  npx --yes firebase-tools setup:emulators:firestore >/dev/null 2>&1 ||
    { echo '  npm or the place from which it downloads the emulator cannot be reached'; return 1; }
}
