# shellcheck shell=bash
# Google's emulator of Firestore.

need_firestore() {
  find_emulator || install_emulator
  command -v java >/dev/null || install_packages default-jre-headless
}

emulator=()  # the command that starts it

find_emulator() {
  local gcloud folder jar
  gcloud=$(readlink -f "$(command -v gcloud)" || true)
  for folder in "${gcloud%/bin/gcloud}" /usr/lib/google-cloud-sdk ~/google-cloud-sdk; do
    emulator=("$folder/platform/cloud-firestore-emulator/cloud_firestore_emulator" start)
    [[ ! -x ${emulator[0]} ]] || return 0
  done
  for jar in ~/.cache/firebase/emulators/cloud-firestore-emulator-*.jar; do
    emulator=(java -jar "$jar")
    [[ ! -f $jar ]] || return 0
  done
  return 1
}

install_emulator() {
  local package=google-cloud-cli-firestore-emulator
  if apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
    install_packages "$package"
  elif command -v gcloud >/dev/null; then
    gcloud --quiet components install cloud-firestore-emulator
  elif command -v npx >/dev/null; then
    npx --yes firebase-tools setup:emulators:firestore
  fi || true
  find_emulator || fail \
    'the Firestore emulator is missing and could not be installed. Install one of' \
    "  apt-get install $package   (https://cloud.google.com/sdk/docs/install#deb)" \
    '  gcloud components install cloud-firestore-emulator' \
    '  npx firebase-tools setup:emulators:firestore   (needs Node.js)' \
    'or set FIRESTORE_EMULATOR_HOST. See https://cloud.google.com/firestore/docs/emulator'
}
