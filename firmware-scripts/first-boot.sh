#!/bin/sh
# Runs once on a card that customize.sh prepared: installs the package that lies on the boot partition. The package's own first-boot
# service then takes bramble.toml. Called by cloud-init, by firstrun.sh or by a systemd unit, as root, perhaps without network.
set -u

case ${1:-} in
  -h | --help)
    echo 'first-boot.sh: installs bramble/*.deb from the boot partition that it lies on; says in bramble-status.txt when that fails'
    exit 0
    ;;
esac

boot=$(cd "$(dirname "$0")/.." && pwd)
status=$boot/bramble-status.txt

for package in "$boot"/bramble/*.deb; do
  if ! [ -e "$package" ]; then continue; fi
  echo "bramble: installing ${package##*/}, which takes a minute or two"
  # --force-confold: a card prepared again keeps what its owner changed.
  if said=$(DEBIAN_FRONTEND=noninteractive dpkg --install --force-confold "$package" 2>&1); then
    rm -f "$package"
  else
    printf 'The Bramble agent could not be installed. dpkg says:\r\n\r\n%s\r\n\r\nThe board tries again at its next boot.\r\n' \
      "$said" >"$status"
    echo "$said" >&2
    exit 1
  fi
done
sync
