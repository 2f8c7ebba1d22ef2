# shellcheck shell=bash
# Webhooks reach their endpoint signed, in the order of what they tell, none is lost, whatever fails on the way; and an
# endpoint that is down holds up no other.
# shellcheck disable=SC2154
first_secret=$(make_password)$(make_password)
second_secret=whsec_$(head -c 32 /dev/urandom | base64)
new_secret=whsec_$(head -c 24 /dev/urandom | base64)
for name in first second; do
    far_up "$name" "$CLINICQ_TOP/tests/deliver/far/webhook" || check "the $name endpoint is up" false
    id=$(owner -v url="http://127.0.0.1:$port/hook?from=clinic" <<<"SELECT clinicq.add_webhook(:'url');")
    printf -v "$name" %s "$id"
done
say "$first_secret" >"${FAR[first]}/secret"
say "$second_secret" >"${FAR[second]}/secret"
export CLINICQ_WEBHOOK_SECRETS_FILE=${FAR[first]}/secrets
# secrets LINE...: the deliverer's, from now on
secrets() {
    printf '%s\n' "$@" >"$CLINICQ_WEBHOOK_SECRETS_FILE"
    [ -z "${CLINICQ_DELIVER_PID:-}" ] || kill -HUP "$CLINICQ_DELIVER_PID"
}
secrets '# by the ids of clinicq.webhooks()' '' "$first $first_secret" "  $second	$second_secret  "
settings outbox_rates=1000
clinicq_deliver_up || check "the deliverer is up" false

# event WEBHOOK POSITION: tells an endpoint of something
event() { enqueue webhook "{\"webhook\": $1, \"type\": \"visit.start\", \"data\": {\"position\": $2, \"name\": \"آپ 🏥\"}}"; }
# noted NAME ID MEMBER...: what an endpoint got of a delivery
noted() {
    local name=$1 id=$2
    shift 2
    "$CLINICQ_TOP/tests/deliver/far/noted" "${FAR[$name]}" id "$(of_delivery "$id" token)" "$@"
}
came() { grep -c "\"id\": \"$(of_delivery "$2" token)\"" "${FAR[$1]}/record"; }
error_of() { of_delivery "$1" last_error; }
logged() { grep -qF -- "$1" "$CLINICQ_DELIVER_LOG"; }

id=$(event "$first" 1)
check "an event is taken by an endpoint that believes its own secret only" becomes "$id" 'done'
check_is "it has type, body and address, and who sends it" \
    "$(noted first "$id" type event.type event.data.name path)" "visit.start | visit.start | آپ 🏥 | /hook?from=clinic"
check "by its name and version" grep -q '^ClinicQ/[0-9]' <<<"$(noted first "$id" agent)"
check_is "the time is when it was written" \
    "$(of_delivery "$id" "created_at = '$(noted first "$id" event.timestamp)'::timestamptz")" t
check_is "the delivery's result is the status" "$(of_delivery "$id" result)" '{"status": 200}'
id=$(event "$second" 1)
check "a secret may be base64 behind whsec_" becomes "$id" 'done'

# Secrets.
third=$(owner -c "SELECT clinicq.add_webhook(url) FROM clinicq.webhook WHERE id = $first")
id=$(event "$third" 0)
check "without a secret nothing is sent" becomes "$id" failed
check "the error says what to do" grep -q "^webhook $third has no secret: add a line" <<<"$(error_of "$id")"
owner -c "SELECT clinicq.remove_webhook($third)" >/dev/null
say "$new_secret" >"${FAR[first]}/secret"
id=$(event "$first" 2)
check "a secret that the endpoint has no more: to be tried again" becomes "$id" failed
check_is "the error has the status" "$(error_of "$id")" "the endpoint answered 401"
secrets "$first $first_secret" "$first $new_secret" "$second $second_secret"
retry_now "$id"
check "two secrets: an endpoint that has the new one takes it" becomes "$id" 'done'
say "$first_secret" >"${FAR[first]}/secret"
id=$(event "$first" 3)
check "and one that has the old one" becomes "$id" 'done'
for bad in "$first" "$first short" "$first whsec_c2hvcnQ=" "$first whsec_$first_secret.$first_secret" "one $first_secret" "0 $first_secret" \
    "$first $first_secret more" "-$first $first_secret" "99999999999999999999 $first_secret" \
    "$second $first_secret"$'\n'"$second $first_secret"; do
    lines=$(grep -c 'channel webhook waits: line [234] of CLINICQ_WEBHOOK_SECRETS_FILE' "$CLINICQ_DELIVER_LOG")
    secrets "$second $second_secret" "$bad"
    told_again() { [ "$(grep -c 'channel webhook waits: line [234] of CLINICQ_WEBHOOK_SECRETS_FILE' "$CLINICQ_DELIVER_LOG")" -gt "$lines" ]; }
    check "a line is refused by its number: ${bad:0:12}" within 10 told_again
done
id=$(event "$first" 4)
secrets "$first $first_secret" "$second $second_secret"
check "set right, it goes on" becomes "$id" 'done'

# How an endpoint fails.
position=4
for fault in 500 503 400 429 302 close lost; do
    position=$((position + 1))
    times=1
    [ "$fault" != lost ] || times=2
    orders first "next $fault"
    id=$(event "$first" "$position")
    check "$fault: to be tried again" becomes "$id" failed
    case $fault in
    302) check "302: it is not followed, and the error says so" grep -q "answered 302: it leads elsewhere" <<<"$(error_of "$id")" ;;
    429)
        check "429: after the time that the endpoint asks for" \
            [ "$(of_delivery "$id" "next_attempt_at - now() BETWEEN '0 s' AND '2 s'")" = t ]
        ;;
    [0-9]*) check_is "$fault: the error has the status" "$(error_of "$id")" "the endpoint answered $fault" ;;
    esac
    [ "$fault" = 429 ] || retry_now "$id"
    check "$fault: then it is taken" becomes "$id" 'done'
    check_is "$fault: once, or with the same id" "$(came first "$id")" "$times"
done
orders first "next 410"
id=$(event "$first" 0)
next=$(event "$first" $((position + 1)))
check "410: given up" becomes "$id" dead
check "410: the next one is taken" becomes "$next" 'done'
orders first "next flood"
id=$(event "$first" $((position + 2)))
check "an answer without end is not waited for" becomes "$id" 'done'
check_is "and the event does not come again" "$(came first "$id") $(of_delivery "$id" attempts)" "1 1"
check_is "nothing was refused but by the wrong secret, and no redirect followed" \
    "$(grep -o '"refused": "[^"]*"' "${FAR[first]}/record" | sort -u)" '"refused": "signature"'
orders first "next hang"
slow=$(event "$first" $((position + 3)))
check "one hangs" order_obeyed first
for position in {2..11}; do id=$(event "$second" "$position"); done
check "another endpoint goes on" becomes "$id" 'done' 10
check_is "the one still hangs" "$(state_of "$slow")" sending
check "it ends by its time limit" becomes "$slow" failed 30
retry_now "$slow"
check "then it is taken" becomes "$slow" 'done'

# In order, whatever fails: one endpoint fails every third time, the other always; and the deliverer is killed.
: >"${FAR[first]}/record"
: >"${FAR[second]}/record"
settings outbox_lease_seconds=5
orders first "rate 0.3 500 503 close lost"
orders second "rate 1 500 close"
events=60
owner <<SQL >/dev/null
SELECT clinicq.enqueue_delivery('webhook', jsonb_build_object('webhook', w, 'type', 'visit.start',
    'data', jsonb_build_object('position', p))) FROM generate_series(1, $events) AS p, unnest('{$first,$second}'::int[]) AS w;
SQL
undone() { owner -c "SELECT count(*) FROM clinicq.outbox WHERE webhook_id = $1 AND state <> 'done' AND state <> 'dead'"; }
# flows WEBHOOK LEAST: what failed is tried without its pause, until so many are left at the most
flows() {
    local begin=$SECONDS
    until [ "$(undone "$1")" -le "$2" ]; do
        [ $((SECONDS - begin)) -lt 90 ] || return 1
        owner -c "SELECT clinicq.retry_delivery(id) FROM clinicq.outbox WHERE state = 'failed'" >/dev/null 2>&1
        sleep 0.1
    done
}
check "the first endpoint takes half of them" flows "$first" $((events / 2))
kill -KILL "$CLINICQ_DELIVER_PID"
wait "$CLINICQ_DELIVER_PID" 2>/dev/null
clinicq_deliver_up || check "another deliverer is up" false
check "a deliverer was killed; by the next one it takes all of them" flows "$first" 0
check_is "the other, which is down, has got none" "$(undone "$second") $(wc -c <"${FAR[second]}/record")" "$events 0"
# Of an answer that was lost the event comes again, as the next one.
positions() { sed -n 's/.*"position": \([0-9]*\).*/\1/p' "${FAR[$1]}/record" | uniq | tr '\n' ' '; }
check_is "the first endpoint has got each, in order" "$(positions first)" "$(seq -s ' ' 1 $events) "
orders second ok
check "the other one is up again, and takes all of them" flows "$second" 0
check_is "in order" "$(positions second)" "$(seq -s ' ' 1 $events) "
settings outbox_lease_seconds=120

# Where nothing may go in the clear, whatever stands in the table; and no proxy sees what goes to this machine.
for url in http://endpoint.invalid/ http://127.0.0.1:9@endpoint.invalid/ http://localhost@endpoint.invalid/ \
    http://127.0.0.1.endpoint.invalid/; do
    owner -v url="$url" <<<"ALTER TABLE clinicq.webhook DISABLE TRIGGER USER; UPDATE clinicq.webhook SET url = :'url' WHERE id = $second;
        ALTER TABLE clinicq.webhook ENABLE TRIGGER USER;"
    id=$(event "$second" 0)
    check "plain HTTP goes nowhere else: $url" becomes "$id" failed
    check_is "the error says so: $url" "$(error_of "$id")" "plain HTTP is for this machine only"
    owner -c "DELETE FROM clinicq.outbox WHERE id = $id"
done
clinicq_deliver_down
cp "${CLINICQ_SHIM_BINARY:-$(staged_shim "$CLINICQ_STAGE")}" "${FAR[first]}/clinicq-shim"
printf '#!/bin/sh\nexport http_proxy=http://127.0.0.1:9 all_proxy=http://127.0.0.1:9\nexec %s "$@"\n' \
    "${FAR[first]}/clinicq-shim" >"${FAR[first]}/proxied"
chmod 755 "${FAR[first]}/clinicq-shim"
clinicq_deliver_up "${FAR[first]}/proxied" || check "a deliverer with a proxy in its environment is up" false
orders first ok
id=$(event "$first" $((events + 1)))
check "a proxy of the environment's is not asked" becomes "$id" 'done'
no_secret() { ! cat "$CLINICQ_CLUSTER"/deliver.*.log | grep -qF -e "$first_secret" -e "$second_secret" -e "$new_secret"; }
check "the log holds no secret" no_secret
unset CLINICQ_WEBHOOK_SECRETS_FILE
