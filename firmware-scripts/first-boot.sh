#!/bin/sh
# On a card that customize.sh prepared: installs the package that lies on the boot partition. The package's own first-boot service
# then takes bramble.toml. Cloud-init and firstrun.sh call once and never again, so they only enable a unit, which tries until it is
# done. As root, perhaps without network.
set -u

boot=$(cd "$(dirname "$0")/.." && pwd)
status=$boot/bramble-status.txt
name=bramble-install.service
unit=/etc/systemd/system/$name
failed='The Bramble agent could not be installed.'

usage() {
  cat <<'END'
first-boot.sh [--now]       has bramble/*.deb of the boot partition that it lies on installed, from the next boot on; --now: at once too
first-boot.sh --install     installs it; says in bramble-status.txt when that fails
first-boot.sh --unit PLACE  the unit that does it, where PLACE is the boot partition's
END
}

# Each try unpacks 200 MB: not for ever, on a card.
print_unit() {
  cat <<END
[Unit]
Description=Installs the Bramble agent from the boot partition
RequiresMountsFor=$1
After=local-fs.target
StartLimitIntervalSec=1d
StartLimitBurst=5

[Service]
# exec, not oneshot: the boot does not wait for it.
Type=exec
ExecStart=/bin/sh $1/bramble/first-boot.sh --install
Restart=on-failure
RestartSec=5min

[Install]
WantedBy=multi-user.target
END
}

enable_unit() {
  print_unit "$boot" >"$unit"
  systemctl daemon-reload
  systemctl enable --quiet "$name"
}

install_package() {
  # Only ours: the boot service may have written there.
  if grep -qs "^$failed" "$status"; then rm -f "$status"; fi
  for package in "$boot"/bramble/*.deb; do
    if ! [ -e "$package" ]; then continue; fi
    echo "bramble: installing ${package##*/}, which takes a minute or two"
    # --force-confold: a card prepared again keeps what its owner changed.
    if said=$(DEBIAN_FRONTEND=noninteractive dpkg --install --force-confold "$package" 2>&1); then
      rm -f "$package"
    else
      printf '%s dpkg says:\r\n\r\n%s\r\n\r\nThe board tries again, five times in all, every five minutes, and then at each boot.\r\n' \
        "$failed" "$said" >"$status"
      echo "$said" >&2
      exit 1
    fi
  done
  sync
  systemctl disable --quiet "$name"
  rm -f "$unit"
}

case ${1:-} in
  '') enable_unit ;;
  --now) enable_unit && systemctl --no-block start "$name" ;;
  --install) install_package ;;
  --unit) print_unit "$2" ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
