# shellcheck shell=bash
# README's way to production, each of its commands, on a Debian 13 with a network of its own. What no
# chroot has is systemd, so `systemctl` does here what it would.
# shellcheck disable=SC2154,SC2034
root=$layers/production
mkdir -p "$root/srv" "$root/usr/local/bin"
copy_checkout "$root/srv/clinicq"
sed -n '/^## Going to production/,/^## Where/p' "$CLINICQ_TOP/README.md" |
    sed -n '/^ *```sh$/,/^ *```$/{/```/d;s/^   //;p}' >"$root/srv/commands"

cat >"$root/usr/local/bin/systemctl" <<'SYSTEMCTL'
#!/bin/bash
set -euo pipefail
start() {
    local name=$1 port=$2 variable=$3 user
    user=$(sed -n 's/^User=//p' "/etc/systemd/system/clinicq-$name.service")
    install -d -o "$user" -g "$user" -m 750 "/var/log/$user"
    install -d -o "$user" -m 700 "/run/credentials/$name"
    install -o "$user" -m 400 "/etc/clinicq/$name.dsn" "/run/credentials/$name/dsn"
    set -a
    . "/etc/clinicq/$name.env"
    export "$variable=/run/credentials/$name/dsn"
    setsid setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all \
        /usr/local/bin/clinicq-shim "${@:4}" </dev/null >"/srv/$name.log" 2>&1 &
    echo $! >"/run/$name.pid"
    for _ in {1..100}; do
        ! curl -fsS -o /dev/null "http://127.0.0.1:$port/ready" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}
start_shim() { (start shim 9080 CLINICQ_SHIM_DSN_FILE); }
start_deliver() { (start deliver 9081 CLINICQ_DELIVER_DSN_FILE deliver); }
stop() {
    kill "$(cat "/run/$1.pid")"
    for _ in {1..100}; do
        ! curl -fsS -o /dev/null "http://127.0.0.1:$2/ready" 2>/dev/null || sleep 0.1
    done
}
case $* in
'restart postgresql') pg_ctlcluster 17 main restart ;;
'reload nginx') nginx -s reload ;;
daemon-reload) systemd-analyze verify --man=no /etc/systemd/system/clinicq-*.service ;;
'enable --now clinicq-shim') start_shim ;;
'enable --now clinicq-deliver') start_deliver ;;
'restart clinicq-shim clinicq-deliver')
    stop shim 9080
    stop deliver 9081
    start_shim
    start_deliver
    ;;
'reload clinicq-shim.service') kill -HUP "$(cat /run/shim.pid)" ;;
'reload clinicq-deliver' | 'reload clinicq-deliver.service') kill -HUP "$(cat /run/deliver.pid)" ;;
*) exit 1 ;;
esac
SYSTEMCTL

cat >"$root/srv/walk" <<'WALK'
#!/bin/bash
set -euxo pipefail
# The loopback up; and what Debian starts as it is installed, and a certificate.
perl -e 'use Socket; socket(my $s, PF_INET, SOCK_DGRAM, 0); my $up = pack "a16s", "lo", 0x49; ioctl($s, 0x8914, $up) or die $!'
pg_ctlcluster 17 main start
nginx
install -d /etc/clinicq
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=clinic.example \
    -addext subjectAltName=DNS:clinic.example -keyout /etc/clinicq/tls.key -out /etc/clinicq/tls.crt
chmod 600 /etc/clinicq/tls.key

cd /srv/clinicq
. /srv/commands >/srv/said

runuser -u postgres -- psql -Atc "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'clinicq keeper%'" >/srv/keeper

ask() { curl -sS -m 10 --cacert /etc/clinicq/tls.crt --resolve clinic.example:443:127.0.0.1 -w '\n%{http_code}\n' "$@"; }
log_in() { ask https://clinic.example/api/auth/login/ -d username=head --data-urlencode "password=$1"; }
once=$(sed -n 's/^ \([A-Za-z0-9]\{20\}\)$/\1/p' /srv/said)
chosen='five silver bridges 28'
token=$(log_in "$once" | sed -n 's/.*"token":"\([^"]*\)".*/Authorization: Token \1/p')
ask https://clinic.example/api/users/ -H "$token" >/srv/before
ask https://clinic.example/api/auth/password/ -H "$token" -d "old_password=$once" --data-urlencode "password=$chosen" >/srv/changed
log_in "$chosen" >/srv/logged_in
# A webhook, as the table of channels has it.
mkdir /srv/far
head -c 32 /dev/urandom | base64 | sed 's/^/whsec_/' >/srv/far/secret
/usr/bin/python3 tests/deliver/far/webhook /srv/far </dev/null >/srv/far/log 2>&1 &
far=$!
for _ in {1..100}; do [ ! -s /srv/far/port ] || break; sleep 0.1; done
id=$(psql -U clinicq_dba -Atc "SELECT clinicq.add_webhook('http://127.0.0.1:$(cat /srv/far/port)/in')" clinicq)
sed "s/^/$id /" /srv/far/secret >/etc/clinicq/webhooks
systemctl reload clinicq-deliver
psql -U clinicq_dba -c "SELECT clinicq.enqueue_delivery('webhook', '{\"webhook\": $id, \"type\": \"visit.start\", \"data\": {}}')" clinicq
for _ in {1..100}; do [ ! -s /srv/far/record ] || break; sleep 0.1; done
stat -c '%U %a' /etc/clinicq/webhooks >/srv/webhooks
kill "$far"

logrotate --force /etc/logrotate.d/clinicq-shim
logrotate --force /etc/logrotate.d/clinicq-deliver
sleep 0.5
log_in "$chosen" >/dev/null
ls /var/log/clinicq /var/log/clinicq-deliver >/srv/logs
sed -n 's/^#   //p' /etc/prometheus/alerts.yml >/etc/prometheus/prometheus.yml
promtool check config /etc/prometheus/prometheus.yml >/srv/promtool

# Restored, on the roles that are there, as it was when the commands ended.
runuser -u postgres -- dropdb -f clinicq
runuser -u postgres -- pg_restore -C -d postgres </var/backups/clinicq.dump
log_in "$once" >/srv/unmigrated
psql -U clinicq_dba -c 'CALL clinicq.migrate()' clinicq
for _ in {1..40}; do
    log_in "$once" >/srv/restored
    ! grep -qx 200 /srv/restored || break
    sleep 0.5
done
psql -U clinicq_dba -Atc 'SHOW log_error_verbosity' clinicq >/srv/verbosity
kill "$(cat /run/shim.pid)" "$(cat /run/deliver.pid)"
WALK
chmod 755 "$root/usr/local/bin/systemctl" "$root/srv/walk"

walked() {
    (alone=1 && in_layers "$debian_suite" "$root" '' chroot . env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        LC_ALL=C.UTF-8 TERM=dumb HOME=/root /srv/walk)
}
last_of() { tail -n 1 "$root/srv/$1"; }
before=$tap_failed
check "README, Going to production: every command succeeds" walked
[ "$tap_failed" = "$before" ] || return 0
check "... clinicq-shim check passes" test "$(grep -c ' ok  *-$' "$root/srv/said")" -ge 11
check_is "... with nothing to say" "$(grep -cE ' (FAILED|warning) ' "$root/srv/said")" 0
check "... of the deliverer too, whose channels are not set up" test "$(grep -c "^deliverer.* ok  *-$" "$root/srv/said") $(grep -c '^\(email\|webhook\) ' "$root/srv/said")" = "4 2"
check "the deliverer delivers a webhook, by a secret that its reload read" grep -q '"type": "visit.start"' "$root/srv/far/record"
check_is "... from a file that only it reads" "$(last_of webhooks)" "clinicq-deliver 400"
check "the keeper works" test "$(last_of keeper)" -ge 1
check_is "the first administrator's password serves for nothing but another" "$(last_of before) $(last_of changed)" "403 204"
check_is "... with which he logs in, over TLS" "$(last_of logged_in)" 200
check_is "the logs are shim's and deliverer's alone, and rotate" "$(stat -c %a "$root"/var/log/clinicq* | tr '\n' ' ')$(grep '^[a-z]' "$root/srv/logs" | tr '\n' ' ')" "750 750 shim.log shim.log.1 deliver.log deliver.log.1 "
check "Prometheus takes the rules with the lines at their head" grep -q 'SUCCESS: .*rules found' "$root/srv/promtool"
check_is "the backups are closed to others" "$(cd "$root/var/backups" && stat -c '%n %a' clinicq* | sed 's/\.[1-7] /.N /' | sort -u | tr '\n' ' ')" \
    "clinicq-roles.sql 600 clinicq-roles.sql.N 600 clinicq.dump 600 clinicq.dump.N 600 "
check_is "restored, it refuses to work before migrate(), and works after it" "$(last_of unmigrated) $(last_of restored)" "503 200"
check_is "... with the database's settings" "$(cat "$root/srv/verbosity")" terse
