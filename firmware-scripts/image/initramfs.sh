#!/bin/busybox sh
# shellcheck shell=dash
# The initramfs: Debian's kernel has the drivers of cards and disks as modules. Loads them, finds the root partition, hands over.
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

# Those of the other boards are refused, and that is no fault.
while read -r module; do insmod "$module" 2>/dev/null; done </modules

tries=0
until root=$(findfs LABEL=bramble-root 2>/dev/null); do
  tries=$((tries + 1))
  if [ "$tries" = 300 ]; then
    echo 'bramble: no partition bramble-root appeared in 30 s; starting again' >/dev/console
    reboot -f
  fi
  usleep 100000
done
mount -t ext4 -o ro "$root" /root || { echo "bramble: $root cannot be mounted; starting again" >/dev/console; reboot -f; }
for folder in proc sys dev; do mount --move /$folder /root/$folder; done
exec switch_root /root /usr/lib/bramble-os/init
