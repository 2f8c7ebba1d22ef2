# shellcheck shell=bash
# The deliverer inside the limits of its unit: a webhook to a name, whose thread of the resolver and TLS the filter
# has to let be, and an order that is lost on the way.
# shellcheck disable=SC2154,SC2034
unit=$units/clinicq-deliver.service
sets_of() { sed -n "s/^$1=//p" "$unit"; }
metrics=$(free_port)

deliver_calls() { allowed_calls "$unit" >"$work/allowed-deliver"; }
check "the deliverer's filter is turned into system calls" deliver_calls
call_is_allowed() { grep -qx "$1" "$work/allowed-deliver"; }
for call in epoll_wait clone3 sendto eventfd2; do check "its unit allows $call" call_is_allowed "$call"; done
for call in ptrace mount setuid chown reboot bpf setrlimit; do check "its unit refuses $call" eval "! call_is_allowed $call"; done
check_is "it may go anywhere" "$(sets_of 'IPAddress[A-Za-z]*')" ""
check_is "others reach nothing but its metrics" "$(sets_of SocketBindDeny) $(sets_of SocketBindAllow)" \
    "any tcp:$(sed -n 's/^CLINICQ_DELIVER_METRICS_PORT=//p' "$CLINICQ_TOP/shim/.env.example")"
# What the channels send at once, each by a name of its own, and the main thread; some wait for a name server in vain.
at_once() { sed -n 's/^#define AT_ONCE *\([0-9]*\)$/\1/p; s/^ *\.at_once = \([0-9]*\),$/\1/p' "$CLINICQ_TOP"/shim/src/channel_*.c; }
check "it may have three times the threads that its channels use at once" \
    test "$(sets_of TasksMax)" -ge $((3 * ($(at_once | paste -sd +))))

if [ "$(id -u)" != 0 ]; then
    say "# not root: the deliverer is not run confined"
    return 0
fi

# A far side behind a name, with a certificate of an authority that only this clinic knows.
far_up webhook
far=$port
front=$work/front
far_name=hook.clinic.example
https_port=$(free_port)
mkdir -p "$front/run"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$far_name" \
    -addext "subjectAltName=DNS:$far_name" -keyout "$front/tls.key" -out "$front/tls.crt" 2>/dev/null
cat >"$front/nginx.conf" <<NGINX
daemon off;
pid $front/run/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path $front/run/body;
    proxy_temp_path $front/run/proxy;
    fastcgi_temp_path $front/run/fastcgi;
    uwsgi_temp_path $front/run/uwsgi;
    scgi_temp_path $front/run/scgi;
    server {
        listen 127.0.0.1:$https_port ssl;
        ssl_certificate $front/tls.crt;
        ssl_certificate_key $front/tls.key;
        location / { proxy_pass http://127.0.0.1:$far; }
    }
}
NGINX
chmod 755 "$work" "$front"
chown -R "$(clinicq_server_user):" "$front"
(exec_as_server "$(PATH=$PATH:/usr/sbin command -v nginx)" -p "$front" -c "$front/nginx.conf" -e stderr) >"$work/front.log" 2>&1 &
front_pid=$!
pids[front_pid]=$front_pid
printf '127.0.0.1 localhost %s\n' "$far_name" >"$work/hosts"

secret=whsec_$(head -c 32 /dev/urandom | base64 -w 0)
say "$secret" >"${FAR[webhook]}/secret"
webhook=$(owner -c "SELECT clinicq.add_webhook('https://$far_name:$https_port/in')")
printf '%s %s\n' "$webhook" "$secret" >"$work/webhooks"
say "$CLINICQ_DELIVER_DSN" >"$work/deliver.dsn"
chmod 400 "$work/webhooks" "$work/deliver.dsn"
chown "$(clinicq_server_user):" "$work/webhooks" "$work/deliver.dsn"
install -m 755 "$CLINICQ_CLUSTER/clinicq-shim.0" "$CLINICQ_CLUSTER/clinicq-deliver"
confined "$work/allowed-deliver" CLINICQ_DELIVER_DSN_FILE="$work/deliver.dsn" CLINICQ_DELIVER_METRICS_PORT="$metrics" \
    CLINICQ_LOG_FILE="$work/log/deliver.log" CLINICQ_WEBHOOK_SECRETS_FILE="$work/webhooks" CLINICQ_CA_FILE="$front/tls.crt" \
    "$work/confine" "$CLINICQ_CLUSTER/clinicq-deliver" deliver >"$work/confined.log" 2>&1 &
deliverer=$!
pids[deliverer]=$deliverer
post() { enqueue webhook "{\"webhook\": $webhook, \"type\": \"visit.$1\", \"data\": {\"position\": $2}}"; }
check "the deliverer confined like that is ready" answers "http://127.0.0.1:$metrics/ready"
first=$(post start 1)
check "it delivers a webhook, to a name and over TLS" becomes "$first" "done"
check "... which the far side believes" grep -q '"type": "visit.start"' "${FAR[webhook]}/record"
orders webhook "next close"
second=$(post hold 2)
check "what the far side does not take is a failed attempt" becomes "$second" failed
retry_now "$second"
check "... and the next one succeeds" becomes "$second" "done"
check_is "it has no capability, can gain none, and its system calls are filtered" "$(limits_of "$deliverer")" "$no_rights"
check "it logs into the one folder that it can write to" grep -q "delivery $first (webhook) is done" "$work/log/deliver.log"
no_secret_is_told() {
    ! grep -F -e "${secret#whsec_}" -e "$(sed 's|.*//[a-z_]*:\([^@]*\)@.*|\1|' "$work/deliver.dsn")" "$work/log/deliver.log" "$work/confined.log" &&
        ! tr '\0' '\n' <"/proc/$deliverer/environ" | grep -F "${secret#whsec_}"
}
check "neither its log nor its environment has a secret" no_secret_is_told
check_is "its metrics say so" "$(curl -fsS "http://127.0.0.1:$metrics/metrics" | grep -c '^clinicq_deliver_done_total{channel="webhook"} 2$')" 1
# A secret that changes, as systemctl reload takes it.
secret=whsec_$(head -c 32 /dev/urandom | base64 -w 0)
say "$secret" >"${FAR[webhook]}/secret"
chmod 600 "$work/webhooks"
printf '%s %s\n' "$webhook" "$secret" >"$work/webhooks"
kill -HUP "$deliverer"
third=$(post in_room 3)
check "SIGHUP, as systemctl reload sends it, reads the files with secrets again" becomes "$third" "done"
kill -TERM "$deliverer"
deliverer_status=0
wait "$deliverer" || deliverer_status=$?
unset "pids[deliverer]"
check_is "it ends by itself at SIGTERM" "$deliverer_status" 0
[ "$deliverer_status" = 0 ] || sed 's/^/# /' "$work/confined.log"
stopped "$front_pid"
rm "$work/hosts"
far_down
