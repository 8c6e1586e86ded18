#!/bin/bash
# Runs inside the container of board.check.ts, where systemd is process 1: installs, enrols, answers, and leaves. One JSON file of facts.
cd /opt/bramble || exit 1
declare -A FACTS

fact() { FACTS[$1]=$2; }
# The exit code of a command; what it says goes to a log of its own.
try() {
  local name=$1 code=0
  shift
  "$@" >"$name.log" 2>&1 || code=$?
  fact "$name" "$code"
}
state() { systemctl show bramble-agent.service --property "$1" --value; }

journal_limit() { journalctl --sync; journalctl -b --no-pager -u systemd-journald | sed -n 's/.*System Journal .*, max \([0-9.]*[A-Z]\),.*/\1/p' | tail -n 1; }

# A package whose needs nobody can meet: apt would rather remove it, and call that a success.
try unmet ./install.sh --deb unmet.deb
# The same once a mirror has what it needs.
mv /etc/apt/sources.list.d /etc/apt/sources.list.aside
echo 'deb [trusted=yes] file:/srv/mirror ./' >/etc/apt/sources.list
apt-get update -q >update.log 2>&1
try met ./install.sh --deb unmet.deb --no-start
fact met "$(dpkg-query --show --showformat='${db:Status-Abbrev}' bramble-agent no-such-package)"
dpkg --purge bramble-agent no-such-package

# As on small systems.
echo 'path-exclude=/usr/share/doc/*' >/etc/dpkg/dpkg.cfg.d/documents

# Cut off while it unpacks, and then not wanted any more.
try cut ./install.sh --deb cut.deb
fact cutState "$(dpkg-query --show --showformat='${db:Status-Abbrev}' bramble-agent)"
try cutRemoved ./install.sh --uninstall
fact cutLeft "$(dpkg-query --show bramble-agent 2>/dev/null)"

# As a prepared card does it: the package finds bramble.toml on the boot partition. Debian's own updates are under way, somebody made
# a group of that name, and root came by `su`, whose PATH is a user's.
groupadd bramble-agent
cat >updates.pl <<'END'
use Fcntl;
open my $lock, '>>', '/var/lib/dpkg/lock-frontend' or die;
my $all = pack 's! s! l! l! i', F_WRLCK, 0, 0, 0, 0;
fcntl $lock, F_SETLK, $all or die;
open my $held, '>', 'held';
system 'until grep -qs waiting install.log; do sleep 0.2; done';
END
perl updates.pl &
until [ -e held ]; do sleep 0.1; done
PATH=/usr/local/bin:/usr/bin:/bin try install ./install.sh --deb agent.deb
fact waited "$(grep -c 'waiting for another program' install.log)"
fact enrolledBy "$(head -n 1 /boot/firmware/bramble-status.txt | tr -d '\r')"
fact toml "$(grep token /boot/firmware/bramble.toml | tr -d ' \r')"
fact hostname "$(cat /etc/hostname)"
fact active "$(state ActiveState)"
fact status "$(state StatusText)"
try task /usr/lib/bramble-agent/node task.mjs
fact answer "$(cat task.log)"
for process in /proc/[0-9]*; do
  [ "$(stat -c %U "$process" 2>/dev/null)" = bramble-agent ] || continue
  case $(tr '\0' ' ' <"$process/cmdline") in
    *host-process.js*) fact hostKiB "$(awk '/^Rss:/ { print $2 }' "$process/smaps_rollup")" ;;
    *main.js*run*) fact agentKiB "$(awk '/^Rss:/ { print $2 }' "$process/smaps_rollup")" ;;
  esac
done
# Until another process than the one that is given is in service.
await_other_than() {
  local now
  for _ in $(seq 60); do
    # In this order: for a moment the service is still called active and has no process any more.
    now=$(state MainPID)
    [ "$now" != 0 ] && [ "$now" != "$1" ] && [ "$(state ActiveState)" = active ] && break
    sleep 1
  done
}
pid=$(state MainPID)
# Its own files fill the card: that is no reason to refuse it. It is at its console already.
BRAMBLE_TEST_FREE_MIB=5 try again ./install.sh --deb agent.deb --console http://elsewhere.example --token another
fact againSaid "$(grep -c -e "enrolled already, at $(cat url)" -e 'the token was not used' again.log)"
fact samePid "$([ "$pid" = "$(state MainPID)" ] && echo yes || echo no)"
fact journalLimit "$(journal_limit)"
mkdir stub
# shellcheck disable=SC2016
printf '#!/bin/sh\nif [ "$1" = doctor ]; then exit 2; fi\nexec /usr/bin/bramble-agent "$@"\n' >stub/bramble-agent
chmod +x stub/bramble-agent
PATH=/opt/bramble/stub:$PATH try unwell ./install.sh --deb agent.deb
# A service that cannot start is not called well.
mkdir -p /run/systemd/system/bramble-agent.service.d
printf '[Service]\nExecStart=\nExecStart=/bin/false\n' >/run/systemd/system/bramble-agent.service.d/never.conf
systemctl daemon-reload
systemctl stop bramble-agent.service
BRAMBLE_TEST_TRIES=1 try never ./install.sh --deb agent.deb
rm /run/systemd/system/bramble-agent.service.d/never.conf
systemctl daemon-reload
# A damaged installation is mended.
rm -r /usr/lib/bramble-agent/models/fashion
try mended ./install.sh --deb agent.deb
fact whole "$(dpkg --verify bramble-agent | grep -v /usr/share/doc)"
# The owner enrols it anew: the agent that runs takes the new enrolment.
pid=$(state MainPID)
cp again.toml /boot/firmware/bramble.toml
systemctl restart bramble-agent-boot.service
await_other_than "$pid"
fact anew "$([ "$pid" = "$(state MainPID)" ] || state ActiveState)"
fact anewToml "$(grep token /boot/firmware/bramble.toml | tr -d ' \r')"
try taskAnew /usr/lib/bramble-agent/node task.mjs
# By the command as well, which without sudo would enrol a board that nobody runs.
# shellcheck disable=SC2046
try notRoot setpriv --reuid nobody --clear-groups $(sed 's/^sudo //' command)
pid=$(state MainPID)
# shellcheck disable=SC2046
try anewByHand $(sed 's/^sudo //' again)
await_other_than "$pid"
fact anewTaken "$([ "$pid" = "$(state MainPID)" ] || state ActiveState)"
pid=$(state MainPID)
# A crashed agent comes back.
kill -KILL "$pid"
await_other_than "$pid"
fact afterKill "$(state ActiveState)"
# One that hangs comes back too: the unit's watchdog, with less patience than a minute.
mkdir -p /run/systemd/system/bramble-agent.service.d
printf '[Service]\nWatchdogSec=6\n' >/run/systemd/system/bramble-agent.service.d/watchdog.conf
systemctl daemon-reload
pid=$(state MainPID)
systemctl restart bramble-agent.service
await_other_than "$pid"
pid=$(state MainPID)
kill -STOP "$pid"
await_other_than "$pid"
fact afterHang "$(state ActiveState)"
fact hangSeen "$(journalctl -b --no-pager -u bramble-agent.service | grep -c 'Watchdog timeout')"
started=$(date +%s%N)
systemctl stop bramble-agent.path bramble-agent.service
fact stopMs $((($(date +%s%N) - started) / 1000000))
fact stopResult "$(state Result)"
# Files of its name, the content of its data folder aside; and users and groups.
left() {
  find / -xdev \( -path /proc -o -path /opt/bramble -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path '/var/lib/bramble-agent/*' \) -prune -o -iname '*bramble*' -print | sort
  grep -h bramble /etc/passwd /etc/group /etc/shadow /etc/gshadow | sed 's/:.*//' | sort -u
}
try keepData ./install.sh --uninstall --keep-data
fact keyKept "$([ -s /var/lib/bramble-agent/identity.key ] && echo yes || echo no)"
fact leftWithData "$(left | grep -v -e ^/var/lib/dpkg -e ^/boot)"
fact journalLimitAfter "$([ "$(journal_limit)" = 64.0M ] || echo other)"
# What was kept is gone with the last of it, wherever that stands.
try reinstall ./install.sh --deb agent.deb --no-start
try uninstall ./install.sh --uninstall
fact left "$(left)"

# The other way in, by hand on a running system: console and token as arguments, and doctor at the end.
try check ./install.sh --deb agent.deb --check
try byHand ./install.sh --deb agent.deb --console "$(cat url)" --token-file token
fact doctorFails "$(grep -c '^  FAIL' byHand.log)"
fact doctorOks "$(grep -c '^  ok' byHand.log)"
try taskByHand /usr/lib/bramble-agent/node task.mjs

# The third, as the page "Add board" says it: the service starts by itself.
try purgeAgain ./install.sh --uninstall
try bare ./install.sh --deb agent.deb
# The package's own start, which finds nothing to do.
for _ in $(seq 30); do
  [ "$(state ActiveState)" = activating ] || break
  sleep 1
done
fact beforeLine "$(state ActiveState)"
# Words without spaces; sudo is not installed here, and this is root.
# shellcheck disable=SC2046
try line $(sed 's/^sudo //' command)
fact lineSaid "$(grep -c 'the service starts by itself' line.log)"
await_other_than 0
fact byLine "$(state ActiveState)"
journalctl -b --no-pager -u 'bramble*' >journal.log

for name in "${!FACTS[@]}"; do printf '%s=%s\n' "$name" "${FACTS[$name]//$'\n'/ }"; done >facts
