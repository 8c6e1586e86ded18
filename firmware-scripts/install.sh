#!/usr/bin/env bash
# Puts the Bramble agent onto a running Raspberry Pi OS, Debian, Ubuntu or JetPack 6: checks first, then installs, enrols, starts.
set -euo pipefail
# Those of Debian's `su` are missing, and dpkg refuses to work without them.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

readonly PACKAGE=bramble-agent
readonly DATA=/var/lib/bramble-agent
# better-sqlite3's prebuilt file asks for it: Debian 12, Ubuntu 22.04, JetPack 6 and newer.
readonly GLIBC_NEEDED=2.34
# Package, unpacked files and room for the outbox.
readonly FREE_MIB_NEEDED=700
# A board without a clock battery starts in 1970 or on the day its system was built; certificates and credentials then fail.
readonly CLOCK_AT_LEAST=1767225600 # 2026-01-01

# A folder that stands for / in tests; nothing is installed then.
ROOT=${BRAMBLE_INSTALL_ROOT:-}

usage() {
  cat <<'END'
install.sh --deb FILE [--console URL] [--token TOKEN | --token-file FILE]
install.sh --check
install.sh --uninstall [--keep-data]

Installs the Bramble agent on this board, enrols it at the console, starts it and looks whether all is well.
May be run again: it then upgrades, and enrols only where that was not done.

  --deb FILE         the package (else the only bramble-agent_*_ARCH.deb beside this script)
  --console URL      address of the console, as http://192.168.1.2:8080
  --token TOKEN      enrolment token from the console's page "Add board"
  --token-file FILE  a file that holds it, or - for standard input: other users cannot read it from there
  --no-start         install and enrol only
  --check            only say whether this board is fit
  --uninstall        remove the agent and all that it made; name and Wi-Fi of the board stay as they are
  --keep-data        with --uninstall: keep its key, outbox and settings for another installation
  -h, --help         this page

Exit code: 0 done; 1 something failed on the way, or is not well; 2 refused, nothing was changed; 75 the console is out of reach, try again.
END
}

step() { printf '== %s\n' "$*"; }
refuse() {
  printf 'refused: %s\n' "$*" >&2
  exit 2
}
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Every reason at once, so that nobody corrects them one by one.
FAULTS=()
fault() { FAULTS+=("$*"); }

at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

architecture() {
  case ${BRAMBLE_TEST_MACHINE:-$(uname -m)} in
    aarch64) echo arm64 ;;
    x86_64) echo amd64 ;;
    *) echo none ;;
  esac
}

check_machine() {
  local machine bits
  machine=${BRAMBLE_TEST_MACHINE:-$(uname -m)}
  case $(architecture) in
    none)
      fault "this machine is $machine: the agent runs on 64-bit ARM (aarch64) and x86_64. A Raspberry Pi 3, 4, 5 or Zero 2 W can do it with the 64-bit Raspberry Pi OS"
      ;;
    *)
      # A 64-bit kernel under a 32-bit system, as older Raspberry Pi OS has it.
      bits=${BRAMBLE_TEST_BITS:-$(getconf LONG_BIT)}
      [ "$bits" = 64 ] || fault "the kernel is 64-bit but this system is $bits-bit: flash the 64-bit Raspberry Pi OS"
      ;;
  esac
}

check_system() {
  local glibc
  if [ ! -r "$ROOT/etc/os-release" ]; then
    fault "there is no /etc/os-release: is this a Debian, Ubuntu, Raspberry Pi OS or JetPack?"
    return
  fi
  local name
  # shellcheck source=/dev/null
  name=$(. "$ROOT/etc/os-release" && printf '%s' "${PRETTY_NAME:-unknown}")
  # shellcheck source=/dev/null
  case $(. "$ROOT/etc/os-release" && printf ' %s %s ' "${ID:-}" "${ID_LIKE:-}") in
    *' debian '* | *' ubuntu '* | *' raspbian '*) ;;
    *) fault "$name is none of Debian's family, so it cannot take a .deb" ;;
  esac
  glibc=${BRAMBLE_TEST_GLIBC:-$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)}
  if [ -z "$glibc" ]; then
    fault "this system has no glibc (musl?): the agent's native modules need glibc $GLIBC_NEEDED"
  elif ! at_least "$glibc" "$GLIBC_NEEDED"; then
    fault "$name has glibc $glibc and $GLIBC_NEEDED is needed: Debian 12, Ubuntu 22.04, JetPack 6 or newer"
  fi
  [ -d "$ROOT/run/systemd/system" ] || fault "systemd does not run here; inside a container use the image of the console instead"
}

check_room() {
  local free
  free=${BRAMBLE_TEST_FREE_MIB:-$(df --output=avail -m "$ROOT/usr" | tail -n 1 | tr -d ' ')}
  [ "$free" -ge "$FREE_MIB_NEEDED" ] || is_installed || fault "$free MiB are free on the disk of /usr and $FREE_MIB_NEEDED are needed: make room, or use a larger card"
}

check_clock() {
  local now
  now=${BRAMBLE_TEST_NOW:-$(date +%s)}
  [ "$now" -ge "$CLOCK_AT_LEAST" ] || fault "the clock says $(date -u -d "@$now" +%F): set it (sudo timedatectl set-ntp true), or no console will be believed"
}

check_board() {
  step 'checking this board'
  check_machine
  check_system
  check_room
  check_clock
  [ ${#FAULTS[@]} = 0 ] && return
  local reason
  for reason in "${FAULTS[@]}"; do printf 'refused: %s\n' "$reason" >&2; done
  exit 2
}

# The file that was named, or the one beside this script.
look_for_package() {
  [ -z "$DEB" ] || return 0
  FOUND=("$(dirname "$0")/${PACKAGE}_"*"_$(architecture).deb")
  if [ ${#FOUND[@]} = 1 ] && [ -e "${FOUND[0]}" ]; then DEB=${FOUND[0]}; fi
}

refuse_package() {
  local arch kind
  arch=$(architecture)
  if [ -z "$DEB" ]; then
    [ -e "${FOUND[0]}" ] || refuse "there is no ${PACKAGE}_*_$arch.deb beside this script: name one with --deb"
    refuse "there are ${#FOUND[@]} packages beside this script: name one with --deb"
  fi
  [ -r "$DEB" ] || refuse "$DEB cannot be read"
  kind=$(dpkg-deb --field "$DEB" Package Architecture 2>/dev/null | sed 's/^[^:]*: //' | paste -sd ' ') || true
  [ "$kind" = "$PACKAGE $arch" ] || refuse "$DEB is ${kind:-no Debian package}, and this board needs $PACKAGE for $arch"
}

read_token() {
  [ -z "$TOKEN_FILE" ] && return
  if [ "$TOKEN_FILE" = - ]; then read -r TOKEN || true; else
    [ -r "$TOKEN_FILE" ] || refuse "$TOKEN_FILE cannot be read"
    read -r TOKEN <"$TOKEN_FILE" || true
  fi
  # A file from Windows.
  TOKEN=${TOKEN%$'\r'}
  [ -n "$TOKEN" ] || refuse "there is no token in $TOKEN_FILE"
}

is_enrolled() { [ -s "$DATA/credential.json" ]; }
works_without_console() { grep -q '^BRAMBLE_DEVICE=.' /etc/bramble-agent/agent.env 2>/dev/null; }

# A token in it: not used yet. The package's own first-boot service takes it.
BOOT_FILE=''
awaits_boot_file() {
  for BOOT_FILE in /boot/firmware/bramble.toml /boot/bramble.toml; do
    grep -Eq '^[[:space:]]*token[[:space:]]*=[[:space:]]*.[^"'"'"' ]' "$BOOT_FILE" 2>/dev/null && return
  done
  return 1
}

# This version, with every file as it came; settings (c) may be the owner's, and a small system leaves documents out. dpkg ends with 0
# whatever it finds. Not grep -q, at whose first line it would end otherwise.
is_installed() {
  local wanted present
  [ -r "$DEB" ] && wanted=$(dpkg-deb --field "$DEB" Version 2>/dev/null) || return 1
  present=$(dpkg-query --show --showformat='${db:Status-Abbrev} ${Version}' "$PACKAGE" 2>/dev/null) || return 1
  [ "$present" = "ii  $wanted" ] && ! dpkg --verify "$PACKAGE" 2>&1 | grep -v -e ' c /' -e ' /usr/share/doc/' >/dev/null
}

# Debian's own updates hold it for long after a boot, and dpkg does not wait for anybody.
await_dpkg() {
  [[ $(LC_ALL=C apt-get check -qq 2>&1) = *'get lock'* ]] || return 0
  step 'waiting for another program that installs packages, for 30 minutes at most'
  apt-get check -qq -o DPkg::Lock::Timeout=1800 >/dev/null 2>&1 || true
}

install_package() {
  local wanted
  wanted=$(dpkg-deb --field "$DEB" Version)
  if is_installed; then
    step "$PACKAGE $wanted is installed already"
    return
  fi
  # Its names stand at its beginning, also in a file that was copied by half.
  dpkg-deb --fsys-tarfile "$DEB" >/dev/null 2>&1 || refuse "$DEB is not whole: copy it again"
  await_dpkg
  step "installing $PACKAGE $wanted (a minute or two on a slow card)"
  # dpkg alone where nothing is missing: a board may have no way to a mirror.
  DEBIAN_FRONTEND=noninteractive dpkg --install --force-confold "$DEB" && return
  step 'fetching what is missing'
  # Without --no-remove it may mend this by removing the agent, and end with 0. Naming the package instead, it would refuse.
  DEBIAN_FRONTEND=noninteractive apt-get --fix-broken install -y --no-remove -o Dpkg::Options::=--force-confold || true
  is_installed || fail "$PACKAGE $wanted is not installed: the reason stands above. Run this again once it is gone"
}

enrol() {
  if is_enrolled; then
    step "this board is enrolled already, at $(sed -n 's/^ *"console": "\(.*\)".*/\1/p' "$DATA/credential.json")"
    [ -z "$TOKEN" ] || step "the token was not used: sudo $PACKAGE enroll --console URL --token TOKEN enrols it anew"
  elif [ -n "$CONSOLE" ]; then
    step "enrolling at $CONSOLE"
    local code=0
    BRAMBLE_TOKEN=$TOKEN bramble-agent enroll --console "$CONSOLE" || code=$?
    [ "$code" = 0 ] && return
    printf 'installed, but not enrolled; run this again once the reason above is gone\n' >&2
    # 2 would say that nothing was changed.
    if [ "$code" = 75 ]; then exit 75; else exit 1; fi
  elif awaits_boot_file; then
    step 'enrolling with bramble.toml from the boot partition'
    local tries
    for tries in $(seq 1 30); do is_enrolled && return; sleep 1; done
    cat "$(dirname "$BOOT_FILE")/bramble-status.txt" >&2 2>/dev/null || true
    printf 'installed, but not enrolled after %s s; the board goes on trying unless the reason above is a refusal\n' "$tries" >&2
    exit 75
  elif ! works_without_console; then
    step 'installed; not enrolled, because neither --console nor --token was given'
    return 1
  fi
}

start() {
  local tries
  step 'starting (the first start reads the models)'
  systemctl enable --quiet --now bramble-agent.path
  systemctl enable --quiet bramble-agent.service
  systemctl start --no-block bramble-agent.service
  for tries in $(seq 1 "${BRAMBLE_TEST_TRIES:-60}"); do
    systemctl is-active --quiet bramble-agent.service && break
    [ $((tries % 5)) = 0 ] && step "waiting: $(systemctl show --property StatusText --value bramble-agent.service)"
    sleep 2
  done
  step 'looking whether all is well'
  bramble-agent doctor || exit 1
  systemctl is-active --quiet bramble-agent.service ||
    fail "the agent is not in service after two minutes: journalctl -u $PACKAGE says why"
}

uninstall() {
  [ "$(id -u)" = 0 ] || refuse 'removing needs root: run it with sudo'
  if ! dpkg-query --show "$PACKAGE" >/dev/null 2>&1; then
    step 'the agent is not installed'
  else
    await_dpkg
    step 'removing the agent'
    # Forced: also what an installation that was cut off left behind.
    if [ "$KEEP" = yes ]; then dpkg --force-remove-reinstreq --remove "$PACKAGE"; else dpkg --force-remove-reinstreq --purge "$PACKAGE"; fi
  fi
  [ "$KEEP" = no ] || [ ! -d "$DATA" ] || step "the key and the outbox stay in $DATA, the settings in /etc/bramble-agent"
}

DEB='' CONSOLE='' TOKEN=${BRAMBLE_TOKEN:-} TOKEN_FILE='' DO=install KEEP=no START=yes
value_of() { if [ $# -lt 2 ] || [ -z "$2" ]; then refuse "$1 needs a value"; fi; }
# Read to its end before anything is done: it may come by a pipe.
main() {
  while [ $# -gt 0 ]; do
    case $1 in
      --deb) value_of "$@"; DEB=$2; shift ;;
      --console) value_of "$@"; CONSOLE=$2; shift ;;
      --token) value_of "$@"; TOKEN=$2; shift ;;
      --token-file) value_of "$@"; TOKEN_FILE=$2; shift ;;
      --no-start) START=no ;;
      --check) DO=check ;;
      --uninstall) DO=uninstall ;;
      --keep-data) KEEP=yes ;;
      -h | --help) usage; exit 0 ;;
      *) refuse "there is no option $1; --help names them all" ;;
    esac
    shift
  done

  if [ "$DO" = uninstall ]; then uninstall; exit 0; fi
  [ "$KEEP" = no ] || refuse '--keep-data goes only with --uninstall'
  look_for_package
  check_board
  if [ "$DO" = check ]; then step 'this board is fit'; exit 0; fi
  [ -z "$CONSOLE" ] || [[ $CONSOLE =~ ^https?:// ]] || refuse "$CONSOLE is no address of a console: it looks like http://host:8080"
  read_token
  if ! is_enrolled && [ -n "$CONSOLE$TOKEN" ]; then
    [ -n "$CONSOLE" ] || refuse 'a token needs the console it is for: --console URL'
    [ -n "$TOKEN" ] || refuse 'a console needs a token: --token TOKEN, or --token-file FILE'
  fi
  refuse_package
  [ -z "$ROOT" ] || refuse 'BRAMBLE_INSTALL_ROOT is for tests: nothing is installed there'
  [ "$(id -u)" = 0 ] || refuse 'installing needs root: run it with sudo'
  install_package
  # Enrolment starts an enabled agent by itself (bramble-agent.path).
  [ "$START" = yes ] || systemctl stop bramble-agent.path bramble-agent.service
  enrol || exit 0
  if [ "$START" = yes ]; then start; fi
}
main "$@"
