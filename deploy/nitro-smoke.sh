#!/usr/bin/env bash
# The smoke test on an EC2 instance before a release: boots an enclave, fetches and verifies a key, seals, opens, reads.
#
#   deploy/nitro-smoke.sh --measurements FILE (--url URL | --eif FILE) [--root FILE] [--purpose NAME] [--bin FOLDER]
#
#   --measurements  the release's measurements, as printed by `ok2cry-release measure` or nitro-cli
#   --url           a running parent
#   --eif           an image to run with nitro-cli, behind its own parent; both are stopped when the script exits
#   --root          a trust anchor in place of AWS's, for tests with QEMU
#   --purpose       a purpose in the image's configuration [default: card-pin]
#   --bin           the folder of ok2cry and ok2cry-parent [default: target/release if it exists, otherwise PATH]
#
# Exit status: 0 if every step succeeded, 1 if one failed, 2 for invalid arguments. The script has not yet been run on
# Nitro hardware; see docs/nitro.md.
set -euo pipefail

url='' eif='' root='' measurements='' purpose=card-pin bin=''
while [ $# -gt 0 ]; do
  case $1 in
    --url) url=$2 ;;
    --eif) eif=$2 ;;
    --root) root=$2 ;;
    --measurements) measurements=$2 ;;
    --purpose) purpose=$2 ;;
    --bin) bin=$2 ;;
    *) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift 2
done
if [ -z "$measurements" ] || [ -z "$url$eif" ]; then
  echo "nitro-smoke: --measurements is required, and either --url or --eif" >&2
  exit 2
fi
if [ -z "$bin" ] && [ -d "$(dirname "$0")/../target/release" ]; then bin=$(dirname "$0")/../target/release; fi
[ -z "$bin" ] || PATH=$(cd "$bin" && pwd):$PATH

work=$(mktemp -d) parent='' enclave=''
end() {
  status=$?
  [ -z "$parent" ] || kill "$parent" || true
  [ -z "$enclave" ] || nitro-cli terminate-enclave --enclave-id "$enclave" >/dev/null || true
  rm -rf "$work"
  [ $status = 0 ] || echo "nitro-smoke: FAILED" >&2
}
trap end EXIT

now() { date +%s%3N; }
started=$(now)
# step NAME COMMAND…: runs a command and prints its duration.
step() {
  local name=$1 step_started
  step_started=$(now)
  shift
  "$@" || { echo "nitro-smoke: $name failed" >&2; exit 1; }
  printf '%-34s %6d ms\n' "$name" $(($(now) - step_started))
}

boot() {
  nitro-cli run-enclave --eif-path "$eif" --memory 512 --cpu-count 2 >"$work/enclave.json"
  enclave=$(sed -n 's/.*"EnclaveID": "\(.*\)".*/\1/p' "$work/enclave.json")
  cid=$(sed -n 's/.*"EnclaveCID": \([0-9]*\).*/\1/p' "$work/enclave.json")
  [ -n "$enclave" ] && [ -n "$cid" ]
}
serve() {
  ok2cry-parent --listen 127.0.0.1:0 --enclave "vsock://$cid:5000" >"$work/parent.out" 2>"$work/parent.err" &
  parent=$!
  for _ in $(seq 100); do
    url=$(sed -n 's/^listening on //p' "$work/parent.out")
    if [ -n "$url" ] && curl --silent --fail --output /dev/null "$url/readyz"; then return; fi
    sleep 0.1
  done
  cat "$work/parent.err" >&2
  return 1
}
recipient() { ok2cry recipient new "$work/issuer.pem" >"$work/issuer.pub"; }
seal() {
  printf 4931 | ok2cry seal --purpose "$purpose" --aad smoke --recipient "$(cat "$work/issuer.pub")" >"$work/message.json"
}
open_message() {
  ok2cry open "$work/message.json" --recipient-key "$work/issuer.pem" --purpose "$purpose" --aad smoke --seen "$work/seen" >"$work/opened"
  [ "$(cat "$work/opened")" = 4931 ]
}
replay_is_refused() {
  ! ok2cry open "$work/message.json" --recipient-key "$work/issuer.pem" --purpose "$purpose" --aad smoke --seen "$work/seen" \
    >/dev/null 2>"$work/refused" && grep -q reply_replayed "$work/refused"
}

if [ -n "$eif" ]; then
  step "boot, until the heartbeat" boot
  step "parent ready" serve
fi
export OK2CRY_URL=$url OK2CRY_MEASUREMENTS=$measurements
if [ -n "$root" ]; then export OK2CRY_ROOT=$root; else unset OK2CRY_ROOT; fi

step "attestation accepted" ok2cry attest
step "recipient's key" recipient
step "key fetched, verified, sealed to" seal
step "opened and read" open_message
step "replay refused" replay_is_refused
echo "nitro-smoke: all held under ${root:-AWS\'s root}, in $(($(now) - started)) ms"
