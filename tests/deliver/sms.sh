# shellcheck shell=bash
# Text messages go out through Twilio once: each way in which it fails has the outcome that it should have, what an
# attempt whose answer was lost has sent is found again, and what became of a message is told by Twilio, signed.
# shellcheck disable=SC2154,SC1010
FAR_TWILIO_TOKEN=$(make_password)
export FAR_TWILIO_TOKEN FAR_HANG=1
far_up twilio || check "Twilio is up" false
twilio=${FAR[twilio]}
export CLINICQ_TWILIO_TOKEN=$FAR_TWILIO_TOKEN CLINICQ_TWILIO_URL=http://127.0.0.1:$port
clinicq_shim_up || check "the shim is up" false
account=AC$(printf '0%.0s' {1..32})
service=MG$(printf '1%.0s' {1..32})
settings "sms_account=$account" sms_from=+15005550006 "public_url=$CLINICQ_URL" outbox_rates=1000
clinicq_deliver_up || check "the deliverer is up" false

# set_up NAME=VALUE...: settings that the deliverer has taken up
set_up() {
    local before
    before=$(grep -c "channel sms is on" "$CLINICQ_DELIVER_LOG")
    settings "$@"
    for _ in {1..100}; do
        [ "$(grep -c "channel sms is on" "$CLINICQ_DELIVER_LOG")" = "$before" ] || return 0
        sleep 0.1
    done
}
# sms BODY [TO]: the delivery's id
sms() {
    local payload
    payload=$(owner -v to="${2:-+15551234567}" -v body="$1" <<<"SELECT json_build_object('to', :'to', 'body', :'body')")
    enqueue sms "$payload"
}
# noted BODY [MEMBER]: how many messages with the text it made, or a member of the last of them
noted() {
    /usr/bin/python3 - "$twilio/record" "$@" <<'PYTHON'
import json
import sys
lines = [json.loads(line) for line in open(sys.argv[1])]
found = [line for line in lines if line["effect"] == "message" and line["body"] == sys.argv[2]]
print(len(found) if len(sys.argv) < 4 else found[-1][sys.argv[3]])
PYTHON
}
lists() { grep -c '"effect": "list"' "$twilio/record"; }
error_of() { of_delivery "$1" last_error; }
result_of() { of_delivery "$1" "result ->> '$2'"; }
# tells ID STATUS: a call back of Twilio's has said so
tells() {
    local i
    for ((i = 0; i < 100; i++)); do
        [ "$(result_of "$1" status)" != "$2" ] || return 0
        sleep 0.1
    done
    of_delivery "$1" "row(state, result)" >&2
    return 1
}

# As it should be.
id=$(sms "Your turn is near.")
check "a message is sent" becomes "$id" done
check "what became of it is told" tells "$id" delivered
check_is "it is Twilio's message" "$(result_of "$id" sid)" "$(noted "Your turn is near." sid)"
check_is "to the number, from the sender, once" "$(noted "Your turn is near." to) $(noted "Your turn is near." sender) $(noted "Your turn is near.")" "+15551234567 +15005550006 1"
check_is "its segments and currency are kept" "$(result_of "$id" segments) $(result_of "$id" currency)" "1 USD"
check_is "Twilio's calls back are taken" "$(sed -n 's/.*"effect": "callback".*"answer": //p' "$twilio/record" | sort -u)" "204}"
urdu='آپ کی باری قریب ہے، براہِ کرم انتظار گاہ میں تشریف لائیں & ?=+% "quoted" \ 🏥'
id=$(sms "$urdu")
check "one in Urdu, with emoji and signs, is sent" becomes "$id" done
check_is "as it was written" "$(noted "$urdu")" 1
check_is "in two segments" "$(result_of "$id" segments)" 2
orders twilio "callback reversed"
id=$(sms "Told in reverse.")
check "what is told last first" tells "$id" delivered
sleep 0.5
check_is "... stays the last" "$(result_of "$id" status)" delivered
orders twilio
id=$(sms "Not delivered." +15005550030)
check "one that does not arrive" tells "$id" undelivered
check_is "... is done, and says so" "$(of_delivery "$id" "concat_ws(' ', state, last_error, result ->> 'error_code')")" "done Twilio: not delivered (30003) 30003"
set_up "sms_from=$service"
id=$(sms "By a service.")
check "a messaging service sends" becomes "$id" done
check_is "... in its name" "$(noted "By a service." sender)" "$service"
set_up sms_from=+15005550006 public_url=
id=$(sms "Without calls back.")
check "without an address of ours it is sent" becomes "$id" done
check_is "... and nothing is told" "$(noted "Without calls back." callback) $(result_of "$id" status)" "None queued"

# Nothing was done: it is sent later, once.
for fault in 500 429 close hang; do
    orders twilio "next $fault"
    id=$(sms "After $fault.")
    check "$fault: later" becomes "$id" failed
    check "... by the reason" [ -n "$(error_of "$id")" ]
    case $fault in
    500) check_is "... which is" "$(error_of "$id")" "Twilio: refused (500, error 20500)" ;;
    429) check "... when it says" [ "$(of_delivery "$id" "next_attempt_at - now() < interval '2 s'")" = t ] ;;
    esac
    retry_now "$id"
    check "... it is sent" becomes "$id" done
    check_is "... once" "$(noted "After $fault.")" 1
done

# It was done, and nobody was told: the next attempt finds it.
orders twilio "next lost"
id=$(sms "Lost.")
check "lost: later" becomes "$id" failed
retry_now "$id"
check "... it is found" becomes "$id" done
check_is "... and not sent again" "$(noted "Lost.") $(result_of "$id" sid)" "1 $(noted "Lost." sid)"
orders twilio "next lost"
id=$(sms "Lost among others.")
check "lost: later" becomes "$id" failed
last=
for i in {1..12}; do last=$(sms "Another one, the ${i}th."); done
becomes "$last" done
before=$(lists)
retry_now "$id"
check "... it is found among others" becomes "$id" done
check "... on a later page" [ $(($(lists) - before)) -gt 1 ]
check_is "... and not sent again" "$(noted "Lost among others.")" 1
orders twilio "next lost 500"
id=$(sms "Lost, and the look failed.")
check "lost: later" becomes "$id" failed
retry_now "$id"
for _ in {1..100}; do [ "$(of_delivery "$id" attempts)" != 2 ] || [ "$(state_of "$id")" != failed ] || break; sleep 0.1; done
check_is "while it cannot be looked for nothing is sent" "$(state_of "$id") $(noted "Lost, and the look failed.")" "failed 1"
retry_now "$id"
check "... then it is found" becomes "$id" done
check_is "... and not sent again" "$(noted "Lost, and the look failed.")" 1
# A text that is not the same any more when it is tried again.
orders twilio "next lost"
id=$(sms "Two are before you.")
becomes "$id" failed
superuser -c "UPDATE clinicq.outbox SET payload = payload || '{\"body\": \"One is before you.\"}' WHERE id = $id"
retry_now "$id"
check "lost, and another text by now: it is found" becomes "$id" done
check_is "... and not sent again" "$(noted "Two are before you.") $(noted "One is before you.")" "1 0"
# What was sent before is another delivery's.
id=$(sms "The same words.")
becomes "$id" done
orders twilio "next 500"
id=$(sms "The same words.")
becomes "$id" failed
superuser -c "UPDATE clinicq.outbox SET created_at = now() + interval '5 minutes' WHERE id = $id"
retry_now "$id"
check "the same words to the same number, later" becomes "$id" done
check_is "... are another message" "$(noted "The same words.")" 2
set_up "public_url=$CLINICQ_URL"
orders twilio "next lost"
id=$(sms "Lost, and told.")
check "what Twilio tells of makes a lost one done" becomes "$id" done
check "... at once" tells "$id" delivered
check_is "... by the first attempt" "$(of_delivery "$id" attempts) $(noted "Lost, and told.")" "1 1"

# For good.
for to in 15005550001:21211 15005550003:21408 15005550004:21610 15005550009:21614; do
    id=$(sms "Refused." "+${to%:*}")
    check "${to#*:}: it is given up" becomes "$id" dead
    check_is "... by its number" "$(error_of "$id")" "Twilio: refused (400, error ${to#*:})"
done
check_is "nothing was sent of it" "$(noted "Refused.")" 0
id=$(sms "The next one.")
check "the channel goes on after them" becomes "$id" done

# For all: the channel rests until something is done about it.
rests() { grep -c "channel sms pauses" "$CLINICQ_DELIVER_LOG"; }
before=$(rests)
orders twilio "next 401"
id=$(sms "Without rights.")
check "401: later" becomes "$id" failed
check_is "... and the channel pauses" "$(rests)" $((before + 1))
other=$(sms "Has to wait.")
sleep 2
check_is "... for others too" "$(state_of "$other")" pending
settings sms_from=+15005550007
check "a sender that is not ours: later" becomes "$other" failed
check_is "... and the channel pauses" "$(rests) $(error_of "$other")" "$((before + 2)) Twilio: refused (400, error 21606)"
set_up sms_from=+15005550006
retry_now "$id"
retry_now "$other"
check "with the right one all goes on" becomes "$id" done
check "... for each" becomes "$other" done

# Many at once, while all fails now and then and the deliverer is killed.
settings outbox_lease_seconds=5 public_url=
orders twilio "rate 0.2 500 429 close lost"
for i in {1..40}; do sms "Storm $i." "+1555000$((1000 + i))" >/dev/null; done
for i in {1..60}; do
    [ "$(owner -c "SELECT count(*) FROM clinicq.outbox WHERE channel = 'sms' AND state NOT IN ('done', 'dead')")" != 0 ] || break
    owner -c "SELECT clinicq.retry_delivery(id) FROM clinicq.outbox WHERE channel = 'sms' AND state = 'failed' AND next_attempt_at > now()" >/dev/null 2>&1
    case $i in
    2 | 4) clinicq_deliver_down KILL 2>/dev/null && clinicq_deliver_up ;;
    *) kill -HUP "$CLINICQ_DELIVER_PID" ;;
    esac
    sleep 1
done
check_is "after a storm all are sent" "$(owner -c "SELECT count(*) FROM clinicq.outbox WHERE payload ->> 'body' ~ '^Storm' AND state = 'done'")" 40
check_is "... each once" "$(/usr/bin/python3 -c 'import collections, json, sys
count = collections.Counter(line["body"] for line in map(json.loads, open(sys.argv[1])) if line.get("body", "").startswith("Storm"))
print(len(count), max(count.values()))' "$twilio/record")" "40 1"
orders twilio

# What others may read.
check "errors hold neither numbers nor texts" \
    [ -z "$(owner -c "SELECT last_error FROM clinicq.outbox WHERE channel = 'sms' AND last_error ~ '555[0-9]|Your turn|Refused:'")" ]
logs_are_clean() { ! grep -F -e 5551234567 -e 15005550001 -e "Your turn" -e "$FAR_TWILIO_TOKEN" "$CLINICQ_CLUSTER"/*.log; }
check "the logs hold no number, text or token" logs_are_clean
check "the process list shows no token" [ "$(tr -d '\0' <"/proc/$CLINICQ_DELIVER_PID/cmdline" | grep -c "$FAR_TWILIO_TOKEN")" = 0 ]
clinicq_deliver_down
check_is "the deliverer ends in order" "$CLINICQ_DELIVER_STATUS" 0
clinicq_shim_down
check_is "the shim too" "$CLINICQ_SHIM_STATUS" 0
unset CLINICQ_TWILIO_TOKEN CLINICQ_TWILIO_URL FAR_TWILIO_TOKEN FAR_HANG
