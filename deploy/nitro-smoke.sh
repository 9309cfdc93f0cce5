#!/usr/bin/env bash
# What a release engineer runs on an EC2 instance before a release: boot, fetch a key, verify it, seal, open, read.
#
#   deploy/nitro-smoke.sh --measurements FILE (--url URL | --eif FILE) [--root FILE] [--purpose NAME] [--bin FOLDER]
#
#   --measurements  what the release measures, as `ok2cry-release measure` or nitro-cli prints it
#   --url           a parent that serves already
#   --eif           an image to run with nitro-cli, with a parent of its own in front of it; both end with this script
#   --root          another trust anchor than AWS's: a test's, for QEMU
#   --purpose       a purpose of the image's configuration (card-pin)
#   --bin           where ok2cry and ok2cry-parent are (target/release, or the PATH)
#
# Exit status: 0 if all held, 1 if not. On Nitro hardware it has not been run yet; see docs/nitro.md.
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
  echo "nitro-smoke: needs --measurements, and --url or --eif" >&2
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
begun=$(now)
# step NAME COMMAND…: runs a command, and prints how long it took.
step() {
  local name=$1 from
  from=$(now)
  shift
  "$@" || { echo "nitro-smoke: $name failed" >&2; exit 1; }
  printf '%-34s %6d ms\n' "$name" $(($(now) - from))
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
open_it() {
  ok2cry open "$work/message.json" --recipient-key "$work/issuer.pem" --purpose "$purpose" --aad smoke --seen "$work/seen" >"$work/opened"
  [ "$(cat "$work/opened")" = 4931 ]
}
replay_is_refused() {
  ! ok2cry open "$work/message.json" --recipient-key "$work/issuer.pem" --purpose "$purpose" --aad smoke --seen "$work/seen" \
    >/dev/null 2>"$work/refused" && grep -q reply_replayed "$work/refused"
}

if [ -n "$eif" ]; then
  step "boot, to the heartbeat" boot
  step "parent ready" serve
fi
export OK2CRY_URL=$url OK2CRY_MEASUREMENTS=$measurements
if [ -n "$root" ]; then export OK2CRY_ROOT=$root; else unset OK2CRY_ROOT; fi

step "attestation accepted" ok2cry attest
step "recipient's key" recipient
step "key fetched, verified, sealed to" seal
step "opened and read" open_it
step "replay refused" replay_is_refused
echo "nitro-smoke: all held under ${root:-AWS\'s root}, in $(($(now) - begun)) ms"
