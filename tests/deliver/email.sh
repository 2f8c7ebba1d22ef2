# shellcheck shell=bash
# E-mail reaches a mail server as it was written, by TLS, and once: each way in which the server fails has the outcome
# that it should have, and what may have arrived is sent again under the same Message-ID.
# shellcheck disable=SC2154
far_up smtp || check "the mail server is up" false
mail=${FAR[smtp]}
mail_port=$port
tls_port=$(cat "$mail/tls_port")
CLINICQ_SMTP_PASSWORD=$(make_password)
say "$CLINICQ_SMTP_PASSWORD" >"$mail/password"
export CLINICQ_SMTP_PASSWORD CLINICQ_CA_FILE=$mail/ca.pem
settings "email_server=smtp://127.0.0.1:$mail_port" email_from=clinic@clinic.example email_user=clinic outbox_rates=1000
clinicq_deliver_up || check "the deliverer is up" false

# json_text TEXT
json_text() { owner -v text="$1" <<<"SELECT to_json(:'text'::text)"; }
# letter [TO [SUBJECT [BODY]]], each a JSON string
letter() { say "{\"to\": ${1:-\"patient@home.example\"}, \"subject\": ${2:-\"Hello\"}, \"body\": ${3:-\"Hi.\"}}"; }
# past_checks PAYLOAD: as enqueue, without what it refuses by itself
past_checks() {
    owner -v payload="$1" \
        <<<"INSERT INTO clinicq.outbox (channel, purpose, payload) VALUES ('email', 'manual', :'payload') RETURNING id;"
}
# mail_of ID MEMBER...: of the message of a delivery
mail_of() {
    local id=$1
    shift
    "$CLINICQ_TOP/tests/deliver/far/noted" "$mail" message_id "<$(of_delivery "$id" token)@clinic.example>" "$@"
}
mails_of() { grep -c "$(of_delivery "$1" token)" "$mail/record"; }
error_of() { of_delivery "$1" last_error; }

# What is written is what is read.
urdu='آپ کی باری قریب ہے، براہِ کرم انتظار گاہ میں تشریف لائیں — کلینک 🏥 آپ کا بہت شکریہ 🙏🏽'
body="$urdu"$'\n.\n..\n.dots\n\nFrom here on\ttabs \t\nand blanks  \n'"$(printf 'long words %.0s' {1..300})"$'\n= =3D =?x?=\nend.'
id=$(enqueue email "$(letter '' "$(json_text "$urdu")" "$(json_text "$body")")")
check "a message in Urdu, with emoji, long lines and lines of dots, is taken" becomes "$id" 'done'
check_is "its subject is what was written" "$(mail_of "$id" subject)" "$urdu"
check_is "its body is what was written" "$(mail_of "$id" body)" "$body"
check_is "to whom, and from whom" "$(mail_of "$id" recipients sender headers.To headers.From)" \
    "patient@home.example | clinic@clinic.example | patient@home.example | clinic@clinic.example"
check_is "it has these headers" "$(mail_of "$id" names)" \
    "Date From To Subject Message-ID Auto-Submitted MIME-Version Content-Type Content-Transfer-Encoding"
check_is "it says that no person wrote it" "$(mail_of "$id" headers.Auto-Submitted)" auto-generated
check_is "it is well formed, ASCII, each line ends by CRLF" "$(mail_of "$id" defects ascii bare)" " | true | 0"
longest=$(mail_of "$id" longest)
check "no line is longer than 76 (the longest: $longest)" [ "$longest" -le 76 ]
check_is "it came by TLS, of a user, who greeted by the domain" "$(mail_of "$id" tls user hello)" \
    "true | clinic | clinic.example"
check_is "the delivery's result is the Message-ID" \
    "$(of_delivery "$id" "result ->> 'message_id' = token || '@clinic.example'")" t
for subject in "$(printf 'long %.0s' {1..39})end" '=?UTF-8?B?SGVsbG8=?=' ' blanks '; do
    id=$(enqueue email "$(letter '' "\"$subject\"")")
    becomes "$id" 'done'
    check_is "a subject is read as it was written: ${subject:0:20}" "$(mail_of "$id" subject)" "$subject"
done
id=$(past_checks "$(letter '["one@home.example", "two@home.example"]')")
check "one for two people is taken" becomes "$id" 'done'
check_is "by both" "$(mail_of "$id" recipients headers.To)" "one@home.example two@home.example | one@home.example, two@home.example"

# Nobody makes headers, recipients or commands of his own.
for to in '"a@b.example\r\nBcc: c@d.example"' '"a@b.example>\r\nRCPT TO:<c@d.example"' '"a@b.example, c@d.example"' \
    '"a@b.example\n"' '"a@b@c.example"' '"\"a b\"@c.example"' '"آپ@b.example"' '"@b.example"' '"a@"' '["a@b.example", 7]' \
    '[]' "[$(printf '"a@b.example",%.0s' {1..50})\"a@b.example\"]" '{}' null; do
    id=$(past_checks "$(letter "$to")")
    check "given up: to ${to:0:50}" becomes "$id" dead
done
for subject in '"a\r\nBcc: c@d.example"' '"a\nb"' '"a\rb"' 7; do
    id=$(past_checks "$(letter '' "$subject")")
    check "given up: subject $subject" becomes "$id" dead
done
check_is "nobody else got anything" "$(grep -c 'c@d.example' "$mail/record")" 0
check "errors hold no address" [ -z "$(owner -c "SELECT last_error FROM clinicq.outbox WHERE last_error ~ '@'")" ]
id=$(enqueue email "$(letter)")
check "the channel goes on after them" becomes "$id" 'done'

# For now, for good, for all: what a reply means.
for code in 421 451 452; do
    orders smtp "next $code"
    id=$(enqueue email "$(letter)")
    check "$code: to be tried again" becomes "$id" failed
    check "$code: the error says so" grep -q "^the mail server answered $code to " <<<"$(error_of "$id")"
    retry_now "$id"
    check "$code: then it is taken" becomes "$id" 'done'
    check_is "$code: once" "$(mails_of "$id")" 1
done
for code in 550 554; do
    orders smtp "next $code"
    id=$(enqueue email "$(letter)")
    check "$code: given up" becomes "$id" dead
    check "$code: the error has the code and nothing of the message" \
        grep -qE "^the mail server answered $code to (a recipient|the message)$" <<<"$(error_of "$id")"
    check_is "$code: nothing came" "$(mails_of "$id")" 0
done

# pauses "why" ERROR: the next one fails, with an error, and the channel pauses until it is set up anew, when it is taken
pauses() {
    id=$(enqueue email "$(letter)")
    check "$1: to be tried again" becomes "$id" failed
    check "$1: the error says so ($2)" grep -q "$2" <<<"$(error_of "$id")"
    check "$1: the channel pauses" grep -q '^clinicq_deliver_paused{channel="email"} 1' \
        <<<"$(curl -fsS "$CLINICQ_DELIVER_METRICS_URL/metrics")"
}
goes_on() {
    kill -HUP "$CLINICQ_DELIVER_PID"
    retry_now "$id"
    check "$1: set right, it is taken" becomes "$id" 'done'
    check_is "$1: once" "$(mails_of "$id")" 1
}
for code in 530 535 553; do
    orders smtp "next $code"
    pauses "$code" "^the mail server answered $code to "
    goes_on "$code"
done
orders smtp "rate 1 421"
failed=()
for step in for-now for-now for-now unfit for-now for-now; do
    if [ "$step" = unfit ]; then
        id=$(past_checks "$(letter '"a@b@c.example"')")
        check "one that no server would be given is given up" becomes "$id" dead
    else
        id=$(enqueue email "$(letter)")
        failed+=("$id")
        becomes "$id" failed || check "421: it fails" false
    fi
done
check "it tells nothing of the server: five that fail, with it among them, let the channel pause" \
    grep -q '^clinicq_deliver_paused{channel="email"} 1' <<<"$(curl -fsS "$CLINICQ_DELIVER_METRICS_URL/metrics")"
orders smtp ok
for id in "${failed[@]}"; do goes_on "one of the five"; done
say wrong >"$mail/password"
pauses "a wrong password" "answered 535 to the log-in"
say "$CLINICQ_SMTP_PASSWORD" >"$mail/password"
goes_on "a wrong password"
orders smtp "next nostarttls"
pauses "no STARTTLS offered" "offers no STARTTLS, and email_tls is required"
goes_on "no STARTTLS offered"
settings "email_server=smtp://localhost:$mail_port"
pauses "a certificate of another name" "^no TLS with the mail server: "
settings "email_server=smtps://localhost:$tls_port"
kill -HUP "$CLINICQ_DELIVER_PID"
pauses "a certificate of another name, smtps" "^no TLS with the mail server: "
settings "email_server=smtps://127.0.0.1:$tls_port"
goes_on "a certificate of another name, smtps"
check_is "smtps: by TLS, of a user" "$(mail_of "$id" tls user)" "true | clinic"
check_is "no password was ever said without TLS" "$(grep -c '"tls": false' "$mail/record")" 0

# Without TLS no password; without a user it may go.
settings "email_server=smtp://127.0.0.1:$mail_port" email_tls=off
waits() { grep -q "channel email waits: $1" "$CLINICQ_DELIVER_LOG"; }
check "a user and no TLS: the channel waits and says why" within 5 waits "email_user is set and email_tls is off"
id=$(enqueue email "$(letter)")
rm "$mail/password"
settings email_user=
check "TLS off and no user: it is taken" becomes "$id" 'done'
check_is "without TLS, of nobody" "$(mail_of "$id" tls user)" "false | null"
say "$CLINICQ_SMTP_PASSWORD" >"$mail/password"
settings email_user=clinic email_tls=required

# The line goes down.
orders smtp "next close"
id=$(enqueue email "$(letter)")
check "a line that goes down before the message: to be tried again" becomes "$id" failed
retry_now "$id"
check "then it is taken" becomes "$id" 'done'
check_is "once" "$(mails_of "$id")" 1
orders smtp "next lost"
id=$(enqueue email "$(letter)")
check "a line that goes down behind the message: to be tried again" becomes "$id" failed
check "the error says that it may have arrived" grep -q "which it may have: " <<<"$(error_of "$id")"
retry_now "$id"
check "then it is taken" becomes "$id" 'done'
check_is "both have the one Message-ID" "$(mails_of "$id")" 2
settings email_server=smtp://127.0.0.1:1
id=$(enqueue email "$(letter)")
check "nobody listens: to be tried again" becomes "$id" failed
settings "email_server=smtp://127.0.0.1:$mail_port"
retry_now "$id"
check "then it is taken" becomes "$id" 'done'

# One who says nothing holds up nobody else; nor does one who says nothing to the message.
orders smtp "next hang"
slow=$(enqueue email "$(letter)")
check "one hangs" order_obeyed smtp
orders smtp "next stall"
stalled=$(enqueue email "$(letter)")
check "another hangs behind its message" order_obeyed smtp
begin=$SECONDS
for _ in {1..20}; do last=$(enqueue email "$(letter)"); done
check "twenty others are taken meanwhile" becomes "$last" 'done' 10
check "the deliverer answers meanwhile" curl -fsS -m 1 -o /dev/null "$CLINICQ_DELIVER_METRICS_URL/metrics"
check "within seconds ($((SECONDS - begin)))" [ $((SECONDS - begin)) -le 10 ]
check_is "the two still hang" "$(state_of "$slow") $(state_of "$stalled")" "sending sending"
check "they end by their time limit" becomes "$slow" failed 70
check "with an error that says so" grep -q "it took too long" <<<"$(error_of "$slow")"
check "the other too" becomes "$stalled" failed 70
retry_now "$slow"
retry_now "$stalled"
check "then the one is taken" becomes "$slow" 'done'
check "and the other" becomes "$stalled" 'done'
check_is "the one once, the other twice with one Message-ID" "$(mails_of "$slow") $(mails_of "$stalled")" "1 2"

# A deliverer that is killed in the middle.
settings outbox_lease_seconds=5
orders smtp "next hang"
id=$(enqueue email "$(letter)")
check "one hangs" order_obeyed smtp
kill -KILL "$CLINICQ_DELIVER_PID"
wait "$CLINICQ_DELIVER_PID" 2>/dev/null
clinicq_deliver_up || check "another deliverer is up" false
check "a deliverer is killed: the next one sends what it had" becomes "$id" 'done' 30
check_is "once" "$(mails_of "$id")" 1
settings outbox_lease_seconds=120
check "the log holds neither addresses nor the password" \
    [ "$(cat "$CLINICQ_CLUSTER"/deliver.*.log | grep -ce '@home.example' -e "$CLINICQ_SMTP_PASSWORD")" = 0 ]
unset CLINICQ_SMTP_PASSWORD CLINICQ_CA_FILE
