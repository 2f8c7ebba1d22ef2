# shellcheck shell=bash
# logrotate with our file on a shim that works: no line is lost, and the new file is the shim's.
# shellcheck disable=SC2154,SC2034
logs=$work/logs
mkdir -p "$logs/bin"
chmod 755 "$logs"
chown -R "$(clinicq_server_user):" "$logs"
export CLINICQ_LOG_FILE=$logs/shim.log
clinicq_shim_up || check "a shim that logs to a file starts" false
unset CLINICQ_LOG_FILE
# systemctl reload, where no systemd runs.
printf '#!/bin/sh\n[ "$*" = "reload clinicq-shim.service" ] && kill -HUP %s\n' "$CLINICQ_SHIM_PID" >"$logs/bin/systemctl"
chmod 755 "$logs/bin/systemctl"
sed -e "s|/var/log/clinicq/|$logs/|" -e "s|su clinicq clinicq|su $(clinicq_server_user) $(id -gn "$(clinicq_server_user)")|" \
    "$CLINICQ_TOP/docker/logrotate/clinicq-shim" >"$work/logrotate.conf"
chmod 644 "$work/logrotate.conf"
rotate() { PATH=$logs/bin:$PATH:/usr/sbin logrotate --force --state "$work/logrotate.state" "$work/logrotate.conf"; }
ask() { for _ in {1..20}; do curl -fsS -o /dev/null "$CLINICQ_URL/api/health/" || return 1; done; }
requests() { cat "$@" 2>/dev/null | grep -c '"msg":"request"'; }

check "requests before" ask
check "logrotate takes the file" rotate
for _ in {1..50}; do [ ! -e "$logs/shim.log" ] || break; sleep 0.1; done
check "requests after" ask
sleep 0.3
check_is "those before are in the file put aside" "$(requests "$logs/shim.log.1")" 20
check_is "those after in the new one" "$(requests "$logs/shim.log")" 20
check_is "which nobody else can read" "$(stat -c %a "$logs/shim.log")" "$(stat -c %a "$logs/shim.log.1")"
check "a second rotation" rotate
check "... which is there, compressed" test -s "$logs/shim.log.2.gz"
clinicq_shim_down

# The deliverer's, by the same file but for names.
export CLINICQ_LOG_FILE=$logs/deliver.log
clinicq_deliver_up || check "a deliverer that logs to a file starts" false
unset CLINICQ_LOG_FILE
printf '#!/bin/sh\n[ "$*" = "reload clinicq-deliver.service" ] && kill -HUP %s\n' "$CLINICQ_DELIVER_PID" >"$logs/bin/systemctl"
sed -e "s|/var/log/clinicq-deliver/|$logs/|" -e "s|su clinicq-deliver clinicq-deliver|su $(clinicq_server_user) $(id -gn "$(clinicq_server_user)")|" \
    "$CLINICQ_TOP/docker/logrotate/clinicq-deliver" >"$work/logrotate.conf"
check "logrotate takes the deliverer's file" rotate
for _ in {1..50}; do [ ! -s "$logs/deliver.log" ] || break; sleep 0.1; done
check "its beginning is in the file put aside" grep -q 'clinicq-shim .* delivers' "$logs/deliver.log.1"
check "the new one is its own" grep -q SIGHUP "$logs/deliver.log"
clinicq_deliver_down
