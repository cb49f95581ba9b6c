#!/bin/sh
# Puts gVisor's runsc where the driver looks first, /usr/local/lib/cove/runsc, from Debian's archive. The package of
# Debian 13 has what memory snapshots need and is one static program, so that it runs on older releases too; nothing else
# of that release is installed or upgraded. Where it cannot be had, the package of the installed release is taken.
set -eu

place=/usr/local/lib/cove
release=trixie
keys=/usr/share/keyrings/debian-archive-keyring.gpg

[ ! -x "$place/runsc" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo 'runsc is not installed, so that the tests of gVisor are skipped' >&2
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# The archive that this machine uses already, whichever mirror that is.
archive() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\/debian\)\/\{0,1\} .*/\2/p'
  cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\/debian\)\/\{0,1\}\( .*\)\{0,1\}$/\1/p'
  echo http://deb.debian.org/debian
}

fetch() {
  [ -r "$keys" ] || return 1
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  echo "deb [signed-by=$keys] $(archive | head -n 1) $release main" >"$work/sources.list"
  own="-o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$work/lists"
  own="$own -o Dir::Cache=$work/cache -o APT::Sandbox::User=root -o Acquire::Languages=none"
  # shellcheck disable=SC2086 -- options without blanks in them
  apt-get $own update -qq && (cd "$work" && apt-get $own download -qq runsc) || return 1
  dpkg -x "$work"/runsc_*.deb "$work/root"
  "$work/root/usr/bin/runsc" --version >/dev/null 2>&1
}

if fetch; then
  mkdir -p "$place"
  cp "$work/root/usr/bin/runsc" "$place/runsc.new"
  chmod 0755 "$place/runsc.new"
  mv "$place/runsc.new" "$place/runsc"
elif ! command -v runsc >/dev/null 2>&1; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends runsc >/dev/null ||
    echo 'runsc cannot be installed, so that the tests of gVisor are skipped' >&2
fi
