#!/usr/bin/env bash
# Puts the agent's package and its enrolment into a stock Raspberry Pi OS image: without root, without mounting anything.
set -euo pipefail

usage() {
  cat <<'END'
customize.sh --image FILE.img[.xz] --deb FILE --out FILE.img [--toml FILE] [--way auto|cloud-init|firstrun|unit]

Makes a copy of a Raspberry Pi OS image (64-bit, Lite or Desktop) that installs the Bramble agent at its first boot and
enrols with bramble.toml. Flash the copy with Raspberry Pi Imager ("Use custom", no customisation) or with dd.

  --image   the stock image; .xz is unpacked on the way
  --deb     bramble-agent_VERSION_arm64.deb, from `npm run firmware:deb`
  --out     the copy; one that exists is prepared again
  --toml    enrolment file, as the console's page "Add board" makes it (else put it on the card later)
  --way     how the first boot calls us. cloud-init: Raspberry Pi OS Trixie and newer; firstrun: Bookworm and before;
            unit: a systemd unit in the root file system; auto: what the image is made for
  -h, --help

Needs mtools, and debugfs (e2fsprogs) for --way unit. Exit code 0 done, 2 refused.
END
}

step() { printf '== %s\n' "$*" >&2; }
refuse() {
  printf 'refused: %s\n' "$*" >&2
  exit 2
}

HERE=$(cd "$(dirname "$0")" && pwd)
IMAGE='' DEB='' OUT='' TOML='' WAY=auto
value_of() { if [ $# -lt 2 ] || [ -z "$2" ]; then refuse "$1 needs a value"; fi; }
while [ $# -gt 0 ]; do
  case $1 in
    --image) value_of "$@"; IMAGE=$2; shift ;;
    --deb) value_of "$@"; DEB=$2; shift ;;
    --out) value_of "$@"; OUT=$2; shift ;;
    --toml) value_of "$@"; TOML=$2; shift ;;
    --way) value_of "$@"; WAY=$2; shift ;;
    -h | --help) usage; exit 0 ;;
    *) refuse "there is no option $1; --help names them all" ;;
  esac
  shift
done
for value in "$IMAGE" "$DEB" "$OUT"; do
  [ -n "$value" ] || refuse '--image, --deb and --out are needed; --help explains them'
done
case $WAY in auto | cloud-init | firstrun | unit) ;; *) refuse "--way: must be auto, cloud-init, firstrun or unit, not $WAY" ;; esac
for file in "$IMAGE" "$DEB" ${TOML:+"$TOML"}; do [ -r "$file" ] || refuse "$file cannot be read"; done
command -v mcopy >/dev/null || refuse 'mcopy is missing: install mtools'

# The token and the Wi-Fi password are then in the copy.
if [ -n "$TOML" ]; then umask 077; fi
# Only a finished card gets the name that its owner flashes.
PART=$OUT.part
WORK=$(mktemp -d)
trap 'rm -rf "$PART" "$WORK"' EXIT
trap 'exit 130' INT TERM HUP

# Bytes OFFSET..+4 of the copy as a little-endian number.
number_at() { od -An -v -tu4 -j "$1" -N 4 --endian=little "$PART" | tr -d ' '; }
type_of() { od -An -v -tx1 -j $((446 + 16 * ($1 - 1) + 4)) -N 1 "$PART" | tr -d ' '; }
start_of() { echo $(($(number_at $((446 + 16 * ($1 - 1) + 8))) * 512)); }

make_copy() {
  rm -f "$PART"
  if [ -e "$OUT" ] && [ "$(readlink -f "$IMAGE")" = "$(readlink -f "$OUT")" ]; then refuse '--out must be another file than --image'; fi
  step "copying $IMAGE (a few GB: a minute or two)"
  case $IMAGE in
    *.xz) xz --decompress --stdout --threads=0 "$IMAGE" >"$PART" ;;
    *) cp --sparse=always "$IMAGE" "$PART" ;;
  esac
}

find_partitions() {
  [ "$(od -An -tx1 -j 510 -N 2 "$PART" | tr -d ' ')" = 55aa ] || refuse "$IMAGE has no partition table: is it an image of a card?"
  case $(type_of 1) in
    0b | 0c | 0e) ;;
    *) refuse "the first partition of $IMAGE is not FAT (type $(type_of 1)): only images for Raspberry Pi boards are understood" ;;
  esac
  FAT=$PART@@$(start_of 1)
  ROOT=$(start_of 2)
}

on_fat() { mdir -b -i "$FAT" "::/$1" >/dev/null 2>&1; }
read_fat() { mtype -i "$FAT" "::/$1"; }
# Standard input becomes the file.
write_fat() {
  cat >"$WORK/file"
  mcopy -o -i "$FAT" "$WORK/file" "::/$1"
}

check_room() {
  local free needed
  free=$(mdir -i "$FAT" :: | sed -n 's/ bytes free$//p' | tr -d ' ')
  needed=$(($(stat -c %s "$DEB") + 1048576))
  [ -n "$free" ] && [ "$free" -lt "$needed" ] && ! on_fat "bramble/$(basename "$DEB")" || return 0
  refuse "the boot partition has $((free / 1048576)) MiB free and the package needs $((needed / 1048576))"
}

detect_way() {
  if on_fat user-data || read_fat cmdline.txt 2>/dev/null | grep -q 'ds=nocloud'; then echo cloud-init
  elif on_fat cmdline.txt; then echo firstrun
  else echo unit; fi
}

# The stock user-data is all comments. One that says something is another tool's, and YAML is not to be merged by text.
by_cloud_init() {
  local old=''
  if on_fat user-data; then old=$(read_fat user-data | tr -d '\r'); fi
  if grep -q '# by bramble' <<<"$old"; then return; fi
  if grep -vq '^[[:space:]]*\(#.*\)\?$' <<<"$old"; then
    refuse "the image's user-data holds settings already: add to its runcmd the line  - [sh, /boot/firmware/bramble/first-boot.sh, --now]  yourself, or use --way unit"
  fi
  write_fat user-data <<'END'
#cloud-config
# by bramble: installs the agent; everything else stays as Raspberry Pi OS has it.
runcmd:
  - [sh, /boot/firmware/bramble/first-boot.sh, --now]
END
  if ! on_fat meta-data; then printf 'instance-id: bramble-%s\n' "$(date +%s)" | write_fat meta-data; fi
}

# The line that has it installed; the boot partition is where the image's root file system mounts it.
call() { printf 'sh %s/bramble/first-boot.sh' "$(boot_folder)"; }

# Ours alone, or before the last words of the one that Raspberry Pi Imager wrote.
by_firstrun() {
  local old line
  if on_fat firstrun.sh; then
    old=$(read_fat firstrun.sh)
    if grep -q 'bramble/first-boot.sh' <<<"$old"; then return; fi
    line=$(grep -n 'rm -f .*firstrun.sh' <<<"$old" | head -n 1 | cut -d: -f1)
    [ -n "$line" ] || refuse "the image's firstrun.sh is none of Raspberry Pi Imager's: use --way unit"
    { head -n $((line - 1)) <<<"$old"; printf '%s\n' "$(call)"; tail -n +"$line" <<<"$old"; } | write_fat firstrun.sh
    return
  fi
  write_fat firstrun.sh <<END
#!/bin/sh
# by bramble
$(call)
rm -f /boot/firmware/firstrun.sh /boot/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/firmware/cmdline.txt /boot/cmdline.txt 2>/dev/null
exit 0
END
  read_fat cmdline.txt | tr -d '\r\n' | sed 's| systemd\.run.*||' | {
    cat
    printf ' systemd.run=%s/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target\n' "$(boot_folder)"
  } | write_fat cmdline.txt
}

# /boot/firmware from Bookworm on, /boot before; the former where the root file system cannot be read.
boot_folder() {
  local table
  table=$(debugfs -R 'cat /etc/fstab' "$PART?offset=$ROOT" 2>/dev/null || true)
  if grep -Eq '^[^#[:space:]]+[[:space:]]+/boot[[:space:]]' <<<"$table"; then echo /boot; else echo /boot/firmware; fi
}

by_unit() {
  local unit=$WORK/unit commands=$WORK/commands
  command -v debugfs >/dev/null || refuse 'debugfs is missing: install e2fsprogs'
  [ "$(type_of 2)" = 83 ] || refuse 'the second partition is not Linux: --way unit needs an ext4 root file system'
  sh "$HERE/first-boot.sh" --unit "$(boot_folder)" >"$unit"
  cat >"$commands" <<END
rm /etc/systemd/system/multi-user.target.wants/bramble-install.service
rm /etc/systemd/system/bramble-install.service
cd /etc/systemd/system
write "$unit" bramble-install.service
sif bramble-install.service mode 0100644
sif bramble-install.service uid 0
sif bramble-install.service gid 0
mkdir multi-user.target.wants
symlink multi-user.target.wants/bramble-install.service /etc/systemd/system/bramble-install.service
END
  debugfs -w -f "$commands" "$PART?offset=$ROOT" >/dev/null 2>&1
  local failed='the unit could not be written into the root file system: is it ext4, and has it room?'
  debugfs -R 'cat /etc/systemd/system/bramble-install.service' "$PART?offset=$ROOT" 2>/dev/null | cmp -s - "$unit" || refuse "$failed"
  debugfs -R 'stat /etc/systemd/system/multi-user.target.wants/bramble-install.service' "$PART?offset=$ROOT" 2>/dev/null |
    grep -q 'Type: symlink' || refuse "$failed"
}

# Raspberry Pi OS switches them off otherwise. First in the line, whose end firstrun.sh cuts off.
allow_memory_limits() {
  local line
  on_fat cmdline.txt || return 0
  line=$(read_fat cmdline.txt | tr -d '\r\n')
  case " $line " in
    *' cgroup_enable=memory '*) ;;
    *)
      step 'switching memory limits on (cgroup_enable=memory in cmdline.txt)'
      printf 'cgroup_enable=memory %s\n' "$line" | write_fat cmdline.txt
      ;;
  esac
}

make_copy
find_partitions
[ "$WAY" != auto ] || WAY=$(detect_way)
check_room
step "writing the package ($(($(stat -c %s "$DEB") / 1048576)) MiB) to the boot partition"
mmd -D s -i "$FAT" ::/bramble 2>/dev/null || true
mcopy -o -i "$FAT" "$DEB" "$HERE/first-boot.sh" ::/bramble/
if [ -n "$TOML" ]; then mcopy -o -i "$FAT" "$TOML" ::/bramble.toml; fi
step "first boot: by $WAY"
case $WAY in
  cloud-init) by_cloud_init ;;
  firstrun) by_firstrun ;;
  unit) by_unit ;;
esac
allow_memory_limits
mv "$PART" "$OUT"
step "done: $OUT$([ -n "$TOML" ] || printf '; copy bramble.toml onto the boot partition of the card before its first boot')"
printf '%s\n' "$OUT"
