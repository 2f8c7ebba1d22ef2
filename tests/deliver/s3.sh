# shellcheck shell=bash
# Images reach a store that speaks S3's language, whole and once: from 5 KB to 20 MiB, in one piece and in parts;
# whatever fails on the way has the outcome that it should have, and leaves nothing half stored behind.
# shellcheck disable=SC2154
export FAR_RETRY_AFTER=77 FAR_SECRET='secret:of/the+far=side'
s3_up || check "the store is up" false
store=${FAR[s3]}
check "the store checks signatures as Amazon's documents say" \
    /usr/bin/python3 "$CLINICQ_TOP/tests/deliver/far/s3/signature.py"
settings s3_prefix=clinic/rx/ image_store=s3 outbox_rates=1000 uploads_of_user=1000
clinicq_shim_up || check "a shim is up" false
clinicq_deliver_up || check "the deliverer is up" false

part=$((8 * 1024 * 1024))
owner -c "SELECT clinicq.register_patient('Image'), clinicq.create_queue('Images')" >/dev/null
patient=$(owner -c "SELECT max(registration_number) FROM clinicq.patient")
visit=$(owner -c "SELECT visit_id FROM clinicq.open_visit('$patient', (SELECT max(id) FROM clinicq.queue))")
session=$(curl -sS -m 10 "$CLINICQ_URL/api/auth/login/" -d "username=${CLINICQ_DOCTOR%%:*}" -d "password=${CLINICQ_DOCTOR#*:}" |
    sed -n 's/.*"token" *: *"\([0-9a-f]*\)".*/\1/p')
head -c $((20 * 1024 * 1024)) /dev/urandom >"$store/noise"

# image SIZE [BEGINNING]: a new one is uploaded; its SHA-256 is in $sha, its delivery in $id
image() {
    local file=$store/image
    {
        printf '%b' "${2:-\\0211PNG\\r\\n\\032\\n\\0\\0\\0\\rIHDR}"
        head -c 16 /dev/urandom
        cat "$store/noise"
    } | head -c "$1" >"$file"
    sha=$(sha256sum <"$file" | cut -d ' ' -f 1)
    curl -sS -m 60 -o "$store/reply" "$CLINICQ_URL/api/prescriptions/" -H "Authorization: Token $session" \
        -F "visit=$visit" -F "image=@$file"
    id=$(superuser -c "SELECT o.id FROM clinicq.outbox o JOIN clinicq.image i ON i.id = o.image_id
        WHERE o.channel = 's3' AND i.sha256 = '\\x$sha'")
}
error_of() { of_delivery "$1" last_error; }
# noted TEXT: how many lines of the store's record have it
noted() { grep -cF "$1" "$store/record"; }
# stored SHA: how often it was
stored() { noted "\"sha256\": \"$1\""; }
stored_line() {
    say "{\"did\": \"stored\", \"key\": \"clinic/rx/$1.$2\", \"bytes\": $3, \"sha256\": \"$1\", \"type\": \"$4\", \"meta\": \"$1\"}"
}
uploads_left() { find "$store/data/clinic/._S3rver_uploads" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }
# again ID: the next attempt is made now, and does it
again() { retry_now "$1" && becomes "$1" "done"; }

# What is stored is what was uploaded.
for size in 5000 "$part" $((part + 1)) $((20 * 1024 * 1024)); do
    image "$size"
    check "an image of $size bytes is stored" becomes "$id" "done"
    check_is "it is there under its SHA-256, byte for byte, with its type and what it should be" \
        "$(grep -F "$sha" "$store/record" | grep -F '"stored"')" "$(stored_line "$sha" png "$size" image/png)"
    check_is "its delivery tells the name and the ETag" \
        "$(of_delivery "$id" "result ->> 'key' = 'clinic/rx/$sha.png' AND result ->> 'etag' ~ '^[0-9a-f]{32}$'")" t
done
check_is "what has 8 MiB goes in one piece, what has more in parts of that" \
    "$(grep -o '"did": "part".*' "$store/record" | sed 's/.*"number"/"number"/' | tr -d '\n')" \
    "\"number\": 1, \"bytes\": $part}\"number\": 2, \"bytes\": 1}\"number\": 1, \"bytes\": $part}\"number\": 2, \"bytes\": $part}\"number\": 3, \"bytes\": 4194304}"
image 3000 '%PDF-1.7'
check "another type is stored" becomes "$id" "done"
check_is "under an ending of its own" "$(stored_line "$sha" pdf 3000 application/pdf)" "$(grep -F "$sha" "$store/record")"

# Each of those that may fail, and what is told of it. The second attempt does it, and once.
fails() {
    local size=$1 fault=$2 why=$3
    orders s3 "next $fault"
    image "$size"
    if becomes "$id" failed && error_of "$id" | grep -qxE "$why" && again "$id" && [ "$(stored "$sha")" = 1 ]; then
        return
    fi
    of_delivery "$id" "row(state, attempts, last_error)"
    tail -n 5 "$store/record"
    return 1
}
orders s3 "next put:hang"
image 4000
hanging=$id
nothing='(Server returned nothing|Send failed since).*' # libcurl 7.88 and 8.14
while read -r fault why; do
    check "$fault: it is tried again, and stored once" fails 5000 "$fault" "$why"
done <<END
put:500 S3 answered 500 InternalError
put:503 S3 answered 503 SlowDown
put:429 S3 answered 429 TooManyRequests
put:close $nothing
put:middle $nothing
put:lost $nothing
put:corrupt S3 answered 400 XAmzContentSHA256Mismatch
END
while read -r fault why; do
    check "in parts, $fault: it is tried again, and stored once" fails $((part + 1)) "$fault" "$why"
    check_is "and no part is left behind" "$(uploads_left)" 0
done <<END
create:500 S3 answered 500 InternalError
create:close $nothing
part:503 S3 answered 503 SlowDown
part:lost $nothing
part:corrupt S3 answered 400 XAmzContentSHA256Mismatch
part:badetag S3 answered 400 InvalidPart
complete:500 S3 answered 500 InternalError
complete:error S3 answered 200 InternalError
complete:close $nothing
complete:lost $nothing
head:short S3 has not the object that was uploaded
END

# What the store asks for, what it refuses from us, and what is set up wrongly.
orders s3 "next put:503"
image 5000
becomes "$id" failed
check_is "it is not asked again before it wants to be" \
    "$(of_delivery "$id" "next_attempt_at - clock_timestamp() BETWEEN interval '60 s' AND interval '77 s'")" t
check "and then takes it" again "$id"
check "where it tells nothing of what it has it is sent again" fails 5000 "put:500 head:403" 'S3 answered 500 InternalError'
metric() { curl -sS -m 5 "$CLINICQ_DELIVER_METRICS_URL/metrics" | sed -n "s/^clinicq_deliver_$1{channel=\"s3\"} //p"; }
say "not the secret" >"$store/secret"
settings s3_bucket=clinic
image 5000
check "with a wrong secret it fails" becomes "$id" failed
check_is "and says why" "$(error_of "$id")" 'S3 answered 403 SignatureDoesNotMatch'
check_is "the channel pauses at once" "$(metric paused)" 1
say "$FAR_SECRET" >"$store/secret"
settings s3_bucket=no-such-bucket
check "with the right one, after SIGHUP, the store is asked again" eval \
    'retry_now "$id"; for i in {1..100}; do [ "$(error_of "$id")" != "S3 answered 404 NoSuchBucket" ] || break; sleep 0.1; done; [ $i != 100 ]'
check_is "for a bucket that it has not" "$(state_of "$id") $(error_of "$id")" 'failed S3 answered 404 NoSuchBucket'
settings s3_bucket=clinic s3_region=us-east-1
retry_now "$id"
check "in a region that is not its own" eval \
    'for i in {1..100}; do [ "$(error_of "$id")" != "S3 answered 400 AuthorizationHeaderMalformed" ] || break; sleep 0.1; done; [ $i != 100 ]'
settings s3_region=eu-test-1
check "when all is right it is stored" again "$id"
check_is "once" "$(stored "$sha")" 1
rm "$store/secret"
settings s3_bucket=clinic
waits() { grep -qF "channel s3 waits: CLINICQ_S3_SECRET_KEY, or its _FILE: the file cannot be read" "$CLINICQ_DELIVER_LOG"; }
check "without its secret the channel waits, and says so" eval 'for i in {1..50}; do waits && break; sleep 0.1; done; waits'
say "$FAR_SECRET" >"$store/secret"
settings s3_bucket=clinic

check "what hung is tried again, and stored" becomes "$hanging" "done" 60

# Killed in the middle of an upload, or when the store has it: another deliverer goes on when the time of the first is
# over.
settings outbox_lease_seconds=5
killed() {
    orders s3 "next $2"
    image "$1"
    for _ in {1..100}; do
        ! tail -n 1 "$store/record" | grep -qF "$3" || break
        sleep 0.1
    done
    { clinicq_deliver_down KILL; } 2>/dev/null
    clinicq_deliver_up || check "another deliverer is up" false
    check "killed at $2: another deliverer stores it" becomes "$id" "done" 30
    check_is "once" "$(stored "$sha")" 1
}
killed $((part + 1)) part:hang '"hang"'
killed 5000 put:late '"stored"'
killed $((part + 1)) complete:late '"stored"'

# An erased patient's images go from the store, by the names that they have there.
objects() { find "$store/data/clinic" -name '*._S3rver_object' | wc -l; }
stored_ids=$(superuser -c "SELECT count(*) FROM clinicq.outbox WHERE channel = 's3' AND state = 'done'")
check_is "each image is in the store once" "$(objects)" "$stored_ids"
settings s3_prefix=elsewhere/ outbox_lease_seconds=120
orders s3 "next delete:500 delete:lost"
owner -c "SELECT clinicq.cancel_visit($visit); SELECT clinicq.erase_patient('$patient', 'a test')" >/dev/null
removed() {
    for _ in {1..300}; do
        [ "$(objects)" != 0 ] || [ "$(superuser -c "SELECT count(*) FROM clinicq.outbox WHERE channel = 's3' AND state <> 'done'")" != 0 ] || return 0
        sleep 0.1
    done
    find "$store/data/clinic" -name '*._S3rver_object'
    superuser -c "SELECT state, attempts, last_error, payload FROM clinicq.outbox WHERE channel = 's3' AND state <> 'done'"
    return 1
}
check "an erased patient's images are removed from it, by the names that they have there" removed
check_is "the secret is in no log" "$(cat "$CLINICQ_CLUSTER"/*.log "$store/log" | grep -cF "$FAR_SECRET")" 0
clinicq_deliver_down
check_is "the deliverer stops in order" "$CLINICQ_DELIVER_STATUS" 0
clinicq_shim_down
unset CLINICQ_S3_ACCESS_KEY CLINICQ_S3_SECRET_KEY_FILE FAR_SECRET FAR_RETRY_AFTER
