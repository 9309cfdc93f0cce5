#!/usr/bin/env bash
# Builds Valkey from Debian's source package, patches and all, and prints the directory that has `valkey-server`.
#
#   bench/store/valkey.sh [--cached]
#
# Downloads are pinned by hash, and built once per hash and user. With --cached nothing is downloaded or built: it fails
# unless a build exists. Needs a C compiler, make, patch, xz and curl.
set -euo pipefail
pool=http://deb.debian.org/debian/pool/main/v/valkey
version=8.1.1
source=valkey_8.1.1+dfsg1.orig.tar.xz
source_sha256=d9bbd82eecb82f359e649a0007ad3dc1b47cc15afa626348ca86b73c4ae2c7ee
debian=valkey_8.1.1+dfsg1-3+deb13u2.debian.tar.xz
debian_sha256=b5a16407d42c74b93cce893e9480c6c3a8d1f85e247cc2e57627d7ab7746f259

self=$(sha256sum "${BASH_SOURCE[0]}" | cut -c 1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ok2cry
built=$cache/valkey-$version-$self
if [ ! -x "$built/valkey-server" ]; then
  [ "${1:-}" != --cached ] || { echo "valkey has not been built yet" >&2; exit 1; }
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/valkey.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  curl --silent --show-error --fail --location --retry 3 --remote-name-all "$pool/$source" "$pool/$debian"
  printf '%s  %s\n' "$source_sha256" "$source" "$debian_sha256" "$debian" | sha256sum --check --quiet >&2
  tar --extract --file "$source" --strip-components 1
  tar --extract --file "$debian"
  # Not Debian's patch for its own jemalloc: Valkey contains a patched one.
  grep --invert-match USE_SYSTEM_JEMALLOC debian/patches/series |
    while read -r patch; do patch --silent --strip 1 <"debian/patches/$patch"; done
  make --directory src --jobs "$(nproc)" MALLOC=jemalloc BUILD_TLS=no USE_SYSTEMD=no valkey-server >make.log 2>&1 ||
    { tail -n 30 make.log >&2; exit 1; }
  mkdir "$work/built"
  cp src/valkey-server "$work/built/"
  # A concurrent run may have finished first, with the same result.
  mv --no-target-directory "$work/built" "$built" 2>/dev/null || [ -x "$built/valkey-server" ]
fi
echo "$built"
