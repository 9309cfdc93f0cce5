# What the build scripts of this folder share. Sourced, never run.
#
# A product is a folder of the cache, named after everything that went into it. It appears under that name in one step,
# when it is whole; so two builds at a time, or one that was killed, leave nothing half done.
# shellcheck shell=bash

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ok2cry
export LC_ALL=C TZ=UTC

say() { echo "image: $*" >&2; }
die() { say "$*"; exit 1; }

# The name of a product: a digest of the given files and texts.
# key FILE… -- TEXT…
key() {
  local files=()
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  shift
  { cat -- "${files[@]}" && printf '%s\n' "$@"; } | sha256sum | cut -c1-16
}

# Says where a file with this digest is, after fetching it from the first address that has it.
# fetch NAME SHA256 URL…
fetch() {
  local name=$1 sha256=$2 url file=$CACHE/sources/$2/$1
  shift 2
  if [ ! -f "$file" ]; then
    mkdir -p "$(dirname "$file")"
    for url in "$@"; do
      say "fetching $url"
      curl --fail --location --silent --show-error --connect-timeout 20 --output "$file.$$" "$url" >&2 || continue
      if echo "$sha256  $file.$$" | sha256sum --check --status; then
        mv "$file.$$" "$file"
        break
      fi
      say "$url is not the file that is pinned"
    done
    rm -f "$file.$$"
  fi
  [ -f "$file" ] && echo "$file"
}

# Sees to it that Debian packages are there: installs what is missing if this is root on a machine with apt, and says
# what to install if not.
need() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]}"
    local quiet=(env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --option Dpkg::Use-Pty=0)
    "${quiet[@]}" install --no-install-recommends "${missing[@]}" >&2 ||
      { "${quiet[@]}" update >&2 && "${quiet[@]}" install --no-install-recommends "${missing[@]}" >&2; } ||
      die "apt could not install ${missing[*]}"
  else
    die "install these packages first (names as in Debian 12): ${missing[*]}"
  fi
}

# Puts a finished folder under its name. If another build was faster, its product stays.
# keep FOLDER NAME
keep() {
  mv --no-target-directory "$1" "$2" 2>/dev/null || [ -e "$2" ] || die "$2 could not be made"
  rm -rf "$1"
}
