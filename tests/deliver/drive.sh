# shellcheck shell=bash
# Images reach a folder of Google Drive once and whole, and go from there when they are erased, whatever fails on
# the way. What passes the far side would pass Google, which is proven first.
# shellcheck disable=SC2154
drive_up || check "the far side of Drive is up" false
drive=${FAR[drive]}
drive_port=$port
tap_of < <("$CLINICQ_TOP/tests/deliver/far/check_drive" "$drive")
: >"$drive/record"

settings image_store=drive outbox_rates=1000
clinicq_shim_up || check "a shim is up" false
clinicq_deliver_up || check "the deliverer is up" false
drive_session=$(curl -sS -m 10 "$CLINICQ_URL/api/auth/login/" -H 'Content-Type: application/json' \
    -d "{\"username\":\"admin\",\"password\":\"${CLINICQ_ADMIN#*:}\"}" | jq -r .token)
drive_queue=$(owner -c "SELECT clinicq.create_queue(name => 'Drive')")

# new_visit: of a new patient
new_visit() {
    owner -c "SELECT visit_id FROM clinicq.open_visit(clinicq.register_patient('Images'), $drive_queue)"
}
# new_image [BYTES]: sends one that is no other's, a PNG by its first bytes; the delivery's id
new_image() {
    local size=${1:-2700000} visit sha256
    visit=$(new_visit)
    { printf '\211PNG\r\n\032\n\0\0\0\rIHDR' && head -c $((size - 16)) /dev/urandom; } >"$drive/image"
    sha256=$(sha256sum <"$drive/image" | cut -d' ' -f1)
    mv "$drive/image" "$drive/image.$sha256"
    curl -sS -m 20 -o /dev/null "$CLINICQ_URL/api/prescriptions/" -H "Authorization: Token $drive_session" \
        -F "visit=$visit" -F "image=@$drive/image.$sha256"
    owner -c "SELECT o.id FROM clinicq.outbox o JOIN clinicq.image i ON i.id = o.image_id WHERE i.sha256 = '\\x$sha256'"
}
sha256_of() { of_delivery "$1" "(SELECT encode(sha256, 'hex') FROM clinicq.image WHERE id = image_id)"; }
# files SHA256: how many Drive has of the image
files() { sha256sum "$drive"/files/* 2>/dev/null | grep -c "^$1"; }
# drive_ran FAULT...: an image, and what became of it: how often it was tried, and how many files Drive has then
drive_ran() {
    local id
    orders drive "next $*"
    : >"$drive/requests"
    id=$(new_image)
    becomes "$id" 'done' || return 1
    say "$(of_delivery "$id" attempts) $(files "$(sha256_of "$id")") $(orders_left)"
}
orders_left() { tr -d '\n' <"$drive/orders"; }
# drive_failed FAULT...: an image whose first attempt fails; what is said of it, and what becomes of the second one
drive_failed() {
    local id said
    orders drive "next $*"
    : >"$drive/requests"
    id=$(new_image)
    becomes "$id" failed || return 1
    said=$(of_delivery "$id" last_error)
    retry_now "$id"
    becomes "$id" 'done' || return 1
    say "$said, then $(of_delivery "$id" attempts) $(files "$(sha256_of "$id")") $(orders_left)"
}
paused() { curl -sS -m 5 "$CLINICQ_DELIVER_METRICS_URL/metrics" | sed -n 's/^clinicq_deliver_paused{channel="drive"} //p'; }
requests() { cut -d' ' -f1 "$drive/requests" | tr '\n' ' '; }

# --- an image -----------------------------------------------------------------------------------
orders drive
: >"$drive/requests"
id=$(new_image)
check "an image of 2.7 MB is delivered" becomes "$id" 'done'
sha256=$(sha256_of "$id")
file=$(jq -r 'select(.did == "made") | .id' "$drive/record")
check "byte for byte" cmp "$drive/image.$sha256" "$drive/files/$file"
check_is "under its name, type and hash" "$(jq -r '"\(.name) \(.mime_type) \(.property)"' "$drive/record")" \
    "$(owner -c "SELECT 'prescription-' || p.id || '.png image/png $sha256' FROM clinicq.prescription p JOIN clinicq.outbox o USING (image_id) WHERE o.id = $id")"
check_is "in one attempt, by chunks of 1 MiB" "$(of_delivery "$id" attempts), $(requests)" "1, token list start chunk chunk last "
check_is "what Drive called it is known" "$(of_delivery "$id" "(result ->> 'file_id') || ' ' || (result ->> 'url')")" \
    "$file https://drive.google.com/file/d/$file/view?usp=drivesdk"
check_is "and stands with the prescription" "$(curl -sS "$CLINICQ_URL/api/prescriptions/" -H "Authorization: Token $drive_session" | jq -r '.results[0] // .[0] | "\(.drive_file_id) \(.drive_url)"')" \
    "$file https://drive.google.com/file/d/$file/view?usp=drivesdk"
for size in 24 262144 1048576 1048577 5242880; do
    id=$(new_image $size)
    check "an image of $size bytes" becomes "$id" 'done'
    check_is "... is there once" "$(files "$(sha256_of "$id")")" 1
done
check_is "one access token served them all" "$(grep -c '^token' "$drive/requests")" 1

# --- what is overcome within an attempt -----------------------------------------------------------
while read -r faults; do
    # shellcheck disable=SC2086
    check_is "$faults: one attempt, one file" "$(drive_ran $faults)" "1 1 "
done <<'FAULTS'
list:expired
start:expired
chunk:expired
chunk:500
chunk:503
chunk:close
chunk:lost
chunk:middle
chunk:partial
chunk:none
chunk:gone
last:500
last:lost
last:partial
last:middle
last:lost ask:gone
chunk:500 ask:503 ask:500
chunk:ok chunk:middle last:close ask:gone
FAULTS
drive_ran chunk:ok chunk:middle >/dev/null
check_is "after a 500 in the middle it goes on from where Drive was" "$(grep -E '^(chunk|ask|last)' "$drive/requests" | cut -d' ' -f2,3 | tr '\n' ' ')" \
    "0-1048575/2700000 308 1048576-2097151/2700000 500 */2700000 308 1572864-2621439/2700000 308 2621440-2699999/2700000 200 "

# --- what takes another attempt -------------------------------------------------------------------
while IFS='|' read -r faults said; do
    # shellcheck disable=SC2086
    check_is "$faults: said, and made good by the next attempt" "$(drive_failed $faults)" "$said, then 2 1 "
done <<'FAULTS'
list:500|Drive answered 500 backendError
list:503|Drive answered 503 backendError
list:garbage|Drive's answer is not understood
list:ratelimit|Drive answered 403 userRateLimitExceeded
start:429|Drive answered 429 rateLimitExceeded
start:500|Drive answered 500 backendError
start:elsewhere|Drive's answer is not understood
chunk:429|Drive answered 429 rateLimitExceeded
chunk:500 ask:500 ask:500 ask:500|Drive answered 500 backendError
chunk:none chunk:none chunk:none chunk:none|Drive takes no more of the image
chunk:gone chunk:gone chunk:gone|Drive forgets the upload before its end
last:checksum|what Drive made of the image has another MD5; it was deleted there
list:expired token:500|Google gives no access token now: it answered 500 backendError
list:expired token:garbage|Google's answer has no access token
FAULTS
check "a lost answer to the beginning of an upload is said" eval '[[ $(drive_failed start:lost) = "no answer from Drive: "*", then 2 1 " ]]'
orders drive 'next last:checksum delete:503'
id=$(new_image)
check "a wrong MD5, and no deletion" becomes "$id" failed
check_is "is said" "$(of_delivery "$id" last_error)" "what Drive made of the image has another MD5, and was not deleted there"
retry_now "$id"
check "the next attempt takes what is right after all" becomes "$id" 'done'
check_is "so that nothing is doubled" "$(files "$(sha256_of "$id")")" 1
orders drive 'next list:429'
id=$(new_image)
check "429 with Retry-After" becomes "$id" failed
check_is "waits as long as Drive says" "$(of_delivery "$id" "extract(epoch FROM next_attempt_at - now()) BETWEEN 3 AND 7")" t
retry_now "$id"
check "and is delivered then" becomes "$id" 'done'

# --- what is given up -----------------------------------------------------------------------------
for fault in start:bad chunk:bad; do
    orders drive "next $fault"
    id=$(new_image)
    check "$fault is given up" becomes "$id" dead
    check_is "... and said" "$(of_delivery "$id" last_error)" "Drive answered 400 badRequest"
done

# --- what pauses the channel ----------------------------------------------------------------------
while IFS='|' read -r faults said; do
    orders drive "next $faults"
    id=$(new_image)
    check "$faults: the attempt fails" becomes "$id" failed
    check_is "... says what to do" "$(of_delivery "$id" last_error)" "$said"
    check_is "... and the channel pauses" "$(paused)" 1
    kill -HUP "$CLINICQ_DELIVER_PID"
    retry_now "$id"
    check "... until the set-up is read again" becomes "$id" 'done'
done <<'FAULTS'
start:quota|Drive answered 403 storageQuotaExceeded: no room is left for the account; a folder of a shared drive has room of its own
start:nofolder|Drive answered 404 notFound: is the folder there, and shared with the service account, as one who may write?
start:forbidden|Drive answered 403 insufficientFilePermissions: is the folder there, and shared with the service account, as one who may write?
list:expired list:expired|Drive answered 401 authError: it refuses a new access token as well
list:expired token:refuse|Google refuses the key of CLINICQ_DRIVE_KEY_FILE, or the clock is wrong: 400 invalid_grant
FAULTS

# --- a deliverer that is killed -------------------------------------------------------------------
# answer_hangs KIND: until a request of the kind is one that is not answered
answer_hangs() {
    for _ in {1..100}; do
        ! grep -q "^$1 hangs" "$drive/requests" || return 0
        sleep 0.1
    done
    return 1
}
kill_deliverer() {
    kill -KILL "$CLINICQ_DELIVER_PID"
    wait "$CLINICQ_DELIVER_PID" 2>/dev/null
    CLINICQ_DELIVER_PID=''
    orders drive
    # what it had is free when its time is over
    superuser -c "UPDATE clinicq.outbox SET next_attempt_at = now() WHERE state = 'sending'"
}
for fault in start:stuck chunk:stuck last:stuck; do
    : >"$drive/requests"
    orders drive "next $fault"
    id=$(new_image)
    check "$fault: no answer comes" answer_hangs "${fault%:*}"
    kill_deliverer
    clinicq_deliver_up || check "the deliverer is up again" false
    check "... the next deliverer ends it" becomes "$id" 'done'
    check_is "... with one file" "$(of_delivery "$id" attempts) $(files "$(sha256_of "$id")")" "2 1"
done
check_is "what was there whole was not sent again" "$(sed '1,/^last hangs/d' "$drive/requests" | cut -d' ' -f1 | tr '\n' ' ')" "token list "

# --- no answer at all -----------------------------------------------------------------------------
: >"$drive/requests"
orders drive 'next list:hang chunk:hang'
first=$(new_image)
check "a search is not answered" answer_hangs list
second=$(new_image)
check "nor a chunk taken" answer_hangs chunk
check "who waits in vain for a search tries again" becomes "$first" failed 60
check_is "... and says so" "$(of_delivery "$first" "last_error LIKE 'no answer from Drive: %'")" t
retry_now "$first"
check "... and is delivered then" becomes "$first" 'done'
check "a chunk is sent once more" becomes "$second" 'done' 60
check_is "... within the attempt" "$(of_delivery "$second" attempts) $(files "$(sha256_of "$second")")" "1 1"

# --- what is erased goes --------------------------------------------------------------------------
# erased ID: erases the patient of a delivery's image; the id of the delivery that removes it
erased() {
    local visit patient
    IFS='|' read -r visit patient < <(owner -c "SELECT v.id, a.registration_number FROM clinicq.outbox o JOIN clinicq.prescription p USING (image_id) JOIN clinicq.visit v ON v.id = p.visit_id JOIN clinicq.patient a ON a.id = v.patient_id WHERE o.id = $1")
    owner -c "SELECT clinicq.cancel_visit($visit)" -c "SELECT clinicq.erase_patient('$patient', 'a test')" >/dev/null
    owner -c "SELECT max(id) FROM clinicq.outbox WHERE purpose = 'remove_image'"
}
for faults in '' delete:expired delete:lost; do
    orders drive
    id=$(new_image)
    becomes "$id" 'done'
    sha256=$(sha256_of "$id")
    orders drive "next $faults"
    check "an erased image, ${faults:-no fault}" becomes "$(erased "$id")" 'done'
    check_is "... is deleted" "$(files "$sha256")" 0
done
while IFS='|' read -r faults state said; do
    id=$(new_image)
    becomes "$id" 'done'
    sha256=$(sha256_of "$id")
    orders drive "next $faults"
    id=$(erased "$id")
    check "$faults" becomes "$id" "$state"
    check_is "... says why" "$(of_delivery "$id" last_error)" "$said"
    retry_now "$id"
    check "... and is done by the next attempt" becomes "$id" 'done'
    check_is "... with which the file goes" "$(files "$sha256")" 0
done <<'FAULTS'
delete:503|failed|Drive answered 503 backendError
delete:forbidden|dead|Drive answered 403 insufficientFilePermissions: the service account has no right to; in a shared drive, deleting takes a manager
FAULTS
: >"$drive/requests"
orders drive 'next last:stuck'
id=$(new_image)
check "an upload is whole, which nobody learns" answer_hangs last
sha256=$(sha256_of "$id")
kill_deliverer
check_is "Drive has the file" "$(files "$sha256")" 1
id=$(erased "$id")
clinicq_deliver_up || check "the deliverer is up again" false
check "what is erased then is looked for" becomes "$id" 'done'
check_is "... and goes" "$(files "$sha256")" 0

# --- tokens that end soon, and a key that is wrong ------------------------------------------------
clinicq_deliver_down
far_up short env FAR_TOKEN_SECONDS=63 "$CLINICQ_TOP/tests/deliver/far/drive" || check "another far side of Drive is up" false
short=${FAR[short]}
export CLINICQ_DRIVE_KEY_FILE=$short/key.json CLINICQ_DRIVE_URL=http://127.0.0.1:$port/
clinicq_deliver_up || check "the deliverer is up for it" false
id=$(new_image 1000)
check "a token of 63 seconds serves" becomes "$id" 'done'
sleep 4
id=$(new_image 1000)
check "... for three" becomes "$id" 'done'
check_is "... and then another one, before Drive refuses it" "$(cut -d' ' -f1 "$short/requests" | tr '\n' ' ')" \
    "token list start last token list start last "
(umask 022 && jq '.private_key = "none"' "$short/key.json" >"$short/wrong.json")
CLINICQ_DRIVE_KEY_FILE=$short/wrong.json
clinicq_deliver_down
clinicq_deliver_up || check "the deliverer is up with a wrong key" false
check_is "a wrong key is said" "$(grep -o 'channel drive waits: [^"]*' "$CLINICQ_DELIVER_LOG")" \
    "channel drive waits: CLINICQ_DRIVE_KEY_FILE: private_key is missing, or no RSA key of 2048 bits or more in PEM"
cp "$short/key.json" "$short/wrong.json"
kill -HUP "$CLINICQ_DELIVER_PID"
id=$(new_image 1000)
check "... and read again at SIGHUP" becomes "$id" 'done'
clinicq_deliver_down
export CLINICQ_DRIVE_KEY_FILE=$drive/key.json CLINICQ_DRIVE_URL=http://127.0.0.1:$drive_port

# --- all of it at once ----------------------------------------------------------------------------
clinicq_deliver_up || check "the deliverer is up" false
orders drive 'rate 0.2 500 503 429 ratelimit close lost expired middle partial none gone checksum garbage'
ids=()
for _ in {1..20}; do ids+=("$(new_image 1500000)"); done
all=$(IFS=, && say "${ids[*]}")
for _ in {1..150}; do
    [ "$(owner -c "SELECT count(*) FROM clinicq.outbox WHERE id IN ($all) AND state = 'done'")" != 20 ] || break
    owner -c "SELECT clinicq.retry_delivery(id) FROM clinicq.outbox WHERE id IN ($all) AND state = 'failed'" >/dev/null 2>&1
    [ "$(paused)" = 0 ] || kill -HUP "$CLINICQ_DELIVER_PID"
    sleep 0.4
done
check_is "20 images where a fifth of all requests fails: all are done" \
    "$(owner -c "SELECT state, count(*) FROM clinicq.outbox WHERE id IN ($all) GROUP BY 1")" "done|20"
check_is "... each is there once" "$(for id in "${ids[@]}"; do files "$(sha256_of "$id")"; done | sort | uniq -c | tr -s ' ')" " 20 1"
check_is "... under the id that is known" "$(for id in "${ids[@]}"; do sha256sum <"$drive/files/$(of_delivery "$id" "result ->> 'file_id'")" | cut -d' ' -f1; done)" \
    "$(for id in "${ids[@]}"; do sha256_of "$id"; done)"
say "# $(owner -c "SELECT 'attempts: ' || sum(attempts) || ', at the most ' || max(attempts) FROM clinicq.outbox WHERE id IN ($all)"), requests: $(wc -l <"$drive/requests")"

# --- what nobody may read -------------------------------------------------------------------------
check "no log line has a token or a key" eval '! grep -hE "ya29\.|eyJ|PRIVATE|client_email|iam\.gserviceaccount" "${CLINICQ_DELIVER_LOGS[@]}"'
check_is "nor has an error in the database" "$(owner -c "SELECT count(*) FROM clinicq.outbox WHERE last_error ~ 'ya29|eyJ|PRIVATE|gserviceaccount|told to nobody|clinic-folder'")" 0
clinicq_shim_down
settings image_store=none drive_folder=
unset CLINICQ_DRIVE_KEY_FILE CLINICQ_DRIVE_URL
