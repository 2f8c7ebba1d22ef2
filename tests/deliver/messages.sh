# shellcheck shell=bash
# What a clinic does with it all: a patient who agreed is told when the turn is near and where to come to, in the language
# that was chosen, and nothing once the visit is over; an endpoint hears of a call without the patient; who has forgotten the
# password gets a link for once.
# shellcheck disable=SC2154,SC1010
FAR_TWILIO_TOKEN=$(make_password)
export FAR_TWILIO_TOKEN CLINICQ_TWILIO_TOKEN=$FAR_TWILIO_TOKEN CLINICQ_TWILIO_URL CLINICQ_CA_FILE CLINICQ_WEBHOOK_SECRETS_FILE
far_up twilio && CLINICQ_TWILIO_URL=http://127.0.0.1:$port
far_up smtp && mail_port=$port && CLINICQ_CA_FILE=${FAR[smtp]}/ca.pem
far_up webhook && hook_port=$port
hook_secret=$(make_password)$(make_password)
say "$hook_secret" >"${FAR[webhook]}/secret"
hook=$(owner -c "SELECT clinicq.add_webhook('http://127.0.0.1:$hook_port/moves', '{start}')")
CLINICQ_WEBHOOK_SECRETS_FILE=${FAR[webhook]}/secrets
say "$hook $hook_secret" >"$CLINICQ_WEBHOOK_SECRETS_FILE"
clinicq_shim_up || check "the shim is up" false
settings "sms_account=AC$(printf '0%.0s' {1..32})" sms_from=+15005550006 "public_url=$CLINICQ_URL" outbox_rates=1000 near_places=1 \
    "email_server=smtp://127.0.0.1:$mail_port" email_from=clinic@clinic.example "password_reset_url=http://localhost/new-password#token="
clinicq_deliver_up || check "the deliverer is up" false

token_of() {
    curl -sS -m 10 "$CLINICQ_URL/api/auth/login/" -d "username=${1%%:*}" -d "password=${1#*:}" | sed -n 's/.*"token" *: *"\([0-9a-f]*\)".*/\1/p'
}
assistant=$(token_of "$CLINICQ_ASSISTANT")
doctor=$(token_of "$CLINICQ_DOCTOR")
# ask TOKEN METHOD PATH [FIELD=VALUE...]: the answer
ask() {
    local token=$1 method=$2 path=$3 field fields=()
    shift 3
    for field in "$@"; do fields+=(--data-urlencode "$field"); done
    curl -sS -m 10 -X "$method" "$CLINICQ_URL$path" -H "Authorization: Token $token" "${fields[@]}"
}
number_in() { sed -n "s/.*\"$1\" *: *\"*\([0-9-]*\).*/\1/p" | head -n 1; }
queue=$(owner -c "SELECT clinicq.create_queue('Messages')")
room=$(owner -c "INSERT INTO clinicq.room (clinic_id, name) SELECT min(id), 'Room 3' FROM clinicq.clinic RETURNING id")
# arrives NAME FIELD: the token of the visit, with notify fields in FIELDs
arrives() {
    local patient
    patient=$(ask "$assistant" POST /api/patients/ "name=$1" | sed -n 's/.*"registration_number" *: *"\([^"]*\)".*/\1/p')
    shift
    ask "$assistant" POST /api/visits/ "patient=$patient" "queue=$queue" "$@" | sed -n 's/^{"id" *: *\([0-9]*\).*/\1/p'
}
# messages NUMBER: the texts sent to it
messages() {
    /usr/bin/python3 -c 'import json, sys
print("\n".join(line["body"] for line in map(json.loads, open(sys.argv[1])) if line.get("effect") == "message" and line["to"] == sys.argv[2]))' "${FAR[twilio]}/record" "$1"
}
told() { messages "$1" | grep -qF -- "$2"; }
mailed() { grep -cF -- "$1" "${FAR[smtp]}/record"; }

first=$(arrives 'Sana Malik' notify_by=sms 'notify_to=+92 300 1234567' notify_language=en notify_consent=true)
second=$(arrives 'Bilal Khan' notify_by=sms notify_to=+923007654321 notify_language=ur notify_consent=true)
third=$(arrives 'Omar Butt' notify_by=email notify_to=omar@patient.example notify_language=en notify_consent=true)
check "who is first is told that the turn is near" within 20 told +923001234567 "token 1 for Messages is number 1"
check_is "who is not, is not" "$(messages +923007654321)" ''
check_is "a number without consent is refused" \
    "$(ask "$assistant" PATCH "/api/visits/$second/" notify_by=sms notify_to=+923007654321 | cut -c 1-19)" '{"notify_consent":['
ask "$doctor" POST "/api/queues/$queue/call_next/" "room=$room" >/dev/null
check "who is called is told where to come to" within 20 told +923001234567 "token 1, please come to Room 3."
check "and the next one that the turn is near, in Urdu" within 20 told +923007654321 "ٹوکن 2"
check "an endpoint hears of the call" within 20 grep -qF '"type": "visit.start"' "${FAR[webhook]}/record"
check "without the patient" [ "$(grep -cE 'Sana|Malik|registration' "${FAR[webhook]}/record")" = 0 ]
clinicq_deliver_down
ask "$doctor" PATCH "/api/visits/$first/in_room/" >/dev/null
ask "$doctor" PATCH "/api/visits/$first/done/" >/dev/null
ask "$doctor" POST "/api/queues/$queue/call_next/" "room=$room" >/dev/null
ask "$assistant" PATCH "/api/visits/$third/cancel/" >/dev/null
withheld() { owner -c "SELECT count(*) FROM clinicq.outbox WHERE visit_id = $third AND result ? 'withheld'"; }
is_withheld() { [ "$(withheld)" = 1 ]; }
within 10 test "$(owner -c "SELECT count(*) FROM clinicq.outbox WHERE visit_id = $third")" = 1
clinicq_deliver_up || check "the deliverer is up again" false
check "who was called meanwhile is told" within 20 told +923007654321 "Room 3"
check "of a visit that is over nothing is said" within 20 is_withheld
check_is "... indeed" "$(mailed omar@patient.example)" 0
check_is "the outbox holds no number and no text" "$(superuser -c "SELECT count(*) FROM clinicq.outbox o WHERE channel <> 'webhook' AND o::text ~ '9230012345|9230076543|Room 3|patient.example'")" 0

# A new password.
owner -c "SELECT clinicq.set_email('doctor', 'doctor@clinic.example')" >/dev/null
known=$(curl -sS -m 10 -w ' %{http_code}' "$CLINICQ_URL/api/auth/password_reset/" -d username=doctor)
check_is "nobody is told who has an account" "$(curl -sS -m 10 -w ' %{http_code}' "$CLINICQ_URL/api/auth/password_reset/" -d username=nobody)" "$known"
has_link() { [ "$(mailed '#token=')" = 1 ]; }
check "a link comes by e-mail" within 20 has_link
link=$(sed -n 's/.*#token=\([0-9a-f]*\).*/\1/p' "${FAR[smtp]}/record")
check_is "it is nowhere in the database" "$(superuser -c "SELECT (SELECT count(*) FROM clinicq.outbox o WHERE o::text LIKE '%${link:32}%') + (SELECT count(*) FROM clinicq.password_reset r WHERE r::text LIKE '%${link:32}%')")" 0
new_password=$(make_password)
confirm() { curl -sS -m 10 -o /dev/null -w '%{http_code}' "$CLINICQ_URL/api/auth/password_reset/confirm/" -d "token=$link" -d "password=$1"; }
check_is "a password that is easily guessed is refused" "$(confirm password1234)" 400
check_is "a good one is taken" "$(confirm "$new_password")" 204
check_is "once" "$(confirm "$(make_password)")" 400
check "it lets the user in" [ -n "$(token_of "doctor:$new_password")" ]
check_is "the sessions of before are over" "$(curl -sS -m 10 -o /dev/null -w '%{http_code}' "$CLINICQ_URL/api/auth/me/" -H "Authorization: Token $doctor")" 401
check_is "neither link, number nor text is in a log" "$(cat "$CLINICQ_CLUSTER"/*.log | grep -cE "${link:32}|9230012345|9230076543|come to Room")" 0
clinicq_deliver_down
check_is "the deliverer ends in order" "$CLINICQ_DELIVER_STATUS" 0
clinicq_shim_down
unset CLINICQ_TWILIO_TOKEN CLINICQ_TWILIO_URL FAR_TWILIO_TOKEN CLINICQ_CA_FILE CLINICQ_WEBHOOK_SECRETS_FILE
