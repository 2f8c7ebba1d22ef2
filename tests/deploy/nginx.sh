# shellcheck shell=bash
# nginx with our site in front of a shim that trusts it: what passes, what ends there, who is the client.
# shellcheck disable=SC2154,SC2034
site=$work/nginx
https=$(free_port)
http=$(free_port)
export CLINICQ_TRUSTED_PROXIES=127.0.0.1 CLINICQ_TLS_PROXY=on CLINICQ_ALLOWED_HOSTS=clinic.example,127.0.0.1
clinicq_shim_up || check "a shim that trusts the proxy starts" false
unset CLINICQ_TRUSTED_PROXIES CLINICQ_TLS_PROXY CLINICQ_ALLOWED_HOSTS

mkdir -p "$site/run"
chmod 755 "$work" "$site"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=clinic.example \
    -addext subjectAltName=DNS:clinic.example -keyout "$site/tls.key" -out "$site/tls.crt" 2>/dev/null
cp "$CLINICQ_TOP/docker/nginx/nginx.conf" "$site/"
sed -e "/listen \[::\]/d; s|listen 443|listen 127.0.0.1:$https|; s|listen 80;|listen 127.0.0.1:$http;|" \
    -e "s|127\.0\.0\.1:8080|${CLINICQ_URL#http://}|; s|/etc/clinicq/|$site/|; s|/var/log/nginx|$site/run|" \
    "$CLINICQ_TOP/docker/nginx/clinicq.conf" >"$site/clinicq.conf"
chown -R "$(clinicq_server_user):" "$site"
run_nginx() { exec_as_server "$(PATH=$PATH:/usr/sbin command -v nginx)" -p "$site" -c "$site/nginx.conf" "$@"; }
check "nginx takes the configuration, without a warning" eval '! (run_nginx -t -q) 2>&1 | grep .'
run_nginx >"$work/nginx.log" 2>&1 &
nginx=$!
pids[nginx]=$nginx

origin=https://clinic.example:$https
through() { curl -sS -m 10 --cacert "$site/tls.crt" --resolve "clinic.example:$https:127.0.0.1" "$@"; }
status() { through -o /dev/null -w '%{http_code}' "$@"; }
ready() {
    for _ in {1..100}; do
        [ "$(status "$origin/api/health/" 2>/dev/null)" != 200 ] || return 0
        sleep 0.1
    done
    tail -n 5 "$work/nginx.log"
    return 1
}
check "requests pass" ready
token=$(through "$origin/api/auth/login/" -d "username=${CLINICQ_ASSISTANT%%:*}" -d "password=${CLINICQ_ASSISTANT#*:}" |
    sed 's/.*"token":"\([^"]*\)".*/\1/')
authorization="Authorization: Token $token"
check_is "a log-in passes, with its token" "${#token}" 64
check_is "the encoded slash of a path arrives as it was sent" \
    "$(status "$origin/api/patients/01%2F02/" -H "$authorization")" 404
headers=$(through -D - -o /dev/null "$origin/api/health/" | tr -d '\r' | tr '[:upper:]' '[:lower:]')
check_is "HSTS is sent once" "$(grep -c '^strict-transport-security: max-age=63072000$' <<<"$headers")" 1
check_is "and only by one of the two" "$(grep -c '^strict-transport-security:' <<<"$headers")" 1
check_is "no version of nginx is told" "$(grep '^server:' <<<"$headers")" 'server: nginx'
tls() { openssl s_client -connect "127.0.0.1:$https" -servername clinic.example "$@" </dev/null >/dev/null 2>&1; }
refused_tls() { ! tls "$@"; }
check "TLS 1.3 serves" tls -tls1_3
check "TLS 1.2 serves" tls -tls1_2
check "TLS 1.1 does not" refused_tls -tls1_1 -cipher DEFAULT@SECLEVEL=0
check "another name gets no certificate" eval '! openssl s_client -connect 127.0.0.1:$https -servername other.example </dev/null 2>/dev/null | grep -q BEGIN'
check_is "plain HTTP refuses the API" "$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: clinic.example' "http://127.0.0.1:$http/api/health/")" 403
check_is "and leads pages to https" "$(curl -s -o /dev/null -w '%{redirect_url}' -H 'Host: clinic.example' "http://127.0.0.1:$http/page")" https://clinic.example/page
check_is "but not the challenge of a certificate authority" "$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: clinic.example' "http://127.0.0.1:$http/.well-known/acme-challenge/x")" 404
head -c 1100000 /dev/zero >"$work/large"
check_is "a body above the limit: 413, in JSON" "$(through "$origin/api/patients/" -H "$authorization" -H 'Content-Type: application/json' -H Expect: --data-binary "@$work/large" | cut -c 1-10)" '{"detail":'
{
    printf '\211PNG\r\n\032\n\0\0\0\rIHDR'
    cat "$work/large"
} >"$work/image"
doctor=$(through "$origin/api/auth/login/" -d "username=${CLINICQ_DOCTOR%%:*}" -d "password=${CLINICQ_DOCTOR#*:}" |
    sed 's/.*"token":"\([^"]*\)".*/\1/')
check_is "an image of that size passes" "$(through "$origin/api/prescriptions/" -H "Authorization: Token $doctor" -F visit=999999999 -F "image=@$work/image")" \
    '{"detail":"no visit 999999999"}'

# The client: the address that nginx sees, whatever headers say.
register() {
    through --interface 127.0.0.9 "$origin/api/patients/" -H "$authorization" -d "name=$1" -d gender=OTHER "${@:2}" >/dev/null
}
client_of() {
    psql "$CLINICQ_SUPERUSER_DSN" -X -A -t -c "SELECT DISTINCT client FROM clinicq_audit.event WHERE entity = 'patient' AND changes -> 'name' ->> 'new' = '$1'"
}
register 'Proxy Honest'
check_is "the client's own address is in the audit log" "$(client_of 'Proxy Honest')" 127.0.0.9
register 'Proxy Forged' -H 'X-Forwarded-For: 203.0.113.5' -H 'X-Real-IP: 203.0.113.5' -H 'Forwarded: for=203.0.113.5'
check_is "forged headers do not change it" "$(client_of 'Proxy Forged')" 127.0.0.9
register 'Proxy Twice' -H 'X-Forwarded-For: 203.0.113.5' -H 'X-Forwarded-For: 203.0.113.6, 127.0.0.1' -H 'x_forwarded_for: 203.0.113.7'
check_is "nor do several" "$(client_of 'Proxy Twice')" 127.0.0.9

# A stream of events is not held back.
through -N "$origin/api/board/events" -H "$authorization" -H 'Accept: text/event-stream' >"$work/stream" 2>/dev/null &
stream=$!
pids[stream]=$stream
begun() { for _ in {1..50}; do ! grep -q "$1" "$work/stream" || return 0; sleep 0.1; done; return 1; }
check "a stream of events begins at once" begun '^event: snapshot$'
psql "$CLINICQ_DSN" -X -q -v ON_ERROR_STOP=1 -c "SELECT clinicq.create_queue('Proxied')" \
    -c "SELECT FROM clinicq.open_visit((SELECT registration_number FROM clinicq.patient WHERE name = 'Proxy Honest'), (SELECT id FROM clinicq.queue WHERE name = 'Proxied'))" >/dev/null
check "and what happens passes while it lasts" begun '"move":"open"'
stopped "$stream"

# Smuggling. The route of the hidden request is asked for by nobody else, so it shows in the shim's log
# if it ever arrives as a request. `-ign_eof` waits for nginx to close.
hidden='GET /api/openapi.json HTTP/1.1\r\nHost: clinic.example\r\n\r\n'
raw() { printf '%b' "$1" | timeout 3 openssl s_client -quiet -ign_eof -connect "127.0.0.1:$https" -servername clinic.example 2>/dev/null | tr -d '\0'; }
arrived() { grep -c '"msg":"request".*'"$1" "$CLINICQ_SHIM_LOG"; }
check "a hidden request that arrives would be seen" eval 'status "$origin/api/openapi.json" && arrived openapi'
seen=$(arrived openapi)
start='POST /api/auth/logout/ HTTP/1.1\r\nHost: clinic.example\r\n'
length=$(printf '%b' "$hidden" | wc -c)
shape() {
    local what=$1 answer before
    before=$(arrived logout)
    answer=$(raw "$2" | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p')
    check_is "$what: ${answer:-closed}, and nothing hidden arrives" "$(arrived openapi)" "$seen"
    check "$what: one request at most" test $(($(arrived logout) - before)) -le 1
}
shape "two lengths" "${start}Content-Length: 0\r\nContent-Length: $length\r\n\r\n$hidden"
shape "two lengths, the other way" "${start}Content-Length: $length\r\nContent-Length: 0\r\n\r\n$hidden"
shape "lengths in a list" "${start}Content-Length: 0, $length\r\n\r\n$hidden"
shape "chunked with a length" "${start}Content-Length: $length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$hidden"
shape "a length with chunked" "${start}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n$hidden"
shape "another coding before chunked" "${start}Transfer-Encoding: identity, chunked\r\nContent-Length: $length\r\n\r\n$hidden"
shape "an unknown coding" "${start}Transfer-Encoding: xchunked\r\nContent-Length: $length\r\n\r\n$hidden"
shape "chunked twice" "${start}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: $length\r\n\r\n$hidden"
shape "a folded length" "${start}X-Fold: a\r\n Content-Length: 0\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$hidden"
shape "a folded coding" "${start}Transfer-Encoding:\r\n chunked\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$hidden"
shape "a blank before the colon" "${start}Transfer-Encoding : chunked\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$hidden"
shape "a bare LF in a header" "${start}X-A: b\nContent-Length: $length\r\nConnection: close\r\n\r\n$hidden"
shape "a bare CR in a header" "${start}X-A: b\rContent-Length: 0\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$hidden"
shape "a NUL in a header" "${start}X-A: b\0000Content-Length: 0\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$hidden"
shape "a NUL in the request line" "GET /api/health/\0000 HTTP/1.1\r\nHost: clinic.example\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$hidden"
shape "a request in a header's value" "${start}X-A: b%0d%0a%0d%0a$(printf '%b' "$hidden" | tr -d '\r\n')\r\nConnection: close\r\n\r\n"
shape "a length with a sign" "${start}Content-Length: +$length\r\n\r\n$hidden"
shape "chunk sizes with bare LF" "${start}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n$(printf '%x' "$length")\n$hidden\n0\n\n"
check "requests pass after all that" ready
check_is "the shim logged no error" "$(grep -c '"level":"error"' "$CLINICQ_SHIM_LOG")" 0

check_is "a search passes" "$(status "$origin/api/patients/search/?q=Proxy" -H "$authorization")" 200
clinicq_shim_down
check_is "without the shim: 503" "$(status "$origin/api/patients/search/?q=Honest" -H "$authorization")" 503
check_is "nothing about requests is in nginx's logs" "$(cat "$work/nginx.log" "$site"/run/*.log 2>/dev/null | grep -c 'Honest\|Token\|search')" 0
stopped "$nginx"
