# shellcheck shell=bash
# Ten thousand deliveries of all channels, with every fifth answer a failure, by two deliverers of which one is killed
# every three seconds: each is done, and once by what the far sides themselves count.
# shellcheck disable=SC2154,SC1010
export FAR_TWILIO_TOKEN FAR_HANG=1 FAR_SEED=$RANDOM
FAR_TWILIO_TOKEN=$(make_password)
say "# seed $FAR_SEED"
export CLINICQ_DRIVE_URL CLINICQ_DRIVE_KEY_FILE CLINICQ_TWILIO_TOKEN=$FAR_TWILIO_TOKEN CLINICQ_TWILIO_URL CLINICQ_CA_FILE
export CLINICQ_S3_ACCESS_KEY CLINICQ_S3_SECRET_KEY CLINICQ_WEBHOOK_SECRETS_FILE
far_up twilio && CLINICQ_TWILIO_URL=http://127.0.0.1:$port
far_up smtp && mail_port=$port && CLINICQ_CA_FILE=${FAR[smtp]}/ca.pem
far_up webhook && hook_port=$port
drive_up
s3_up
check "all far sides are up" [ -s "${FAR[webhook]}/port" ]
hook_secret=$(make_password)$(make_password)
say "$hook_secret" >"${FAR[webhook]}/secret"
CLINICQ_WEBHOOK_SECRETS_FILE=${FAR[webhook]}/secrets
endpoints=24
for ((i = 1; i <= endpoints; i++)); do
    id=$(owner -c "SELECT clinicq.add_webhook('http://127.0.0.1:$hook_port/$i')")
    say "$id $hook_secret"
done >"$CLINICQ_WEBHOOK_SECRETS_FILE"
settings "sms_account=AC$(printf '0%.0s' {1..32})" sms_from=+15005550006 public_url= \
    "email_server=smtp://127.0.0.1:$mail_port" email_from=clinic@clinic.example outbox_rates=9999 outbox_lease_seconds=5

# Small images, each of its own prescription; and the others, by SQL as a DBA would.
superuser <<SQL
WITH i AS (
    INSERT INTO clinicq.image (sha256, size, media_type)
    SELECT sha256(b), length(b), 'image/png' FROM (SELECT '\x89504e47'::bytea || decode(repeat(md5(n::text), 1 + n % 40), 'hex') AS b
        FROM generate_series(1, 600) AS n) AS bytes RETURNING id, sha256)
INSERT INTO clinicq.image_chunk (image_id, start, bytes)
SELECT i.id, 0, b FROM i JOIN (SELECT '\x89504e47'::bytea || decode(repeat(md5(n::text), 1 + n % 40), 'hex') AS b FROM generate_series(1, 600) AS n) AS bytes
    ON sha256(b) = i.sha256;
INSERT INTO clinicq.outbox (channel, purpose, image_id)
    SELECT CASE WHEN row_number() OVER () % 2 = 0 THEN 'drive' ELSE 's3' END, 'image', id FROM clinicq.image i
    WHERE NOT EXISTS (SELECT FROM clinicq.outbox o WHERE o.image_id = i.id) ORDER BY id DESC LIMIT 600;
INSERT INTO clinicq.outbox (channel, purpose, payload)
    SELECT 'sms', 'manual', jsonb_build_object('to', '+1555' || 1000000 + n, 'body', 'Many ' || n) FROM generate_series(1, 4600) AS n;
INSERT INTO clinicq.outbox (channel, purpose, payload)
    SELECT 'email', 'manual', jsonb_build_object('to', 'm' || n || '@clinic.example', 'subject', 'Many', 'body', 'Many ' || n) FROM generate_series(1, 3600) AS n;
INSERT INTO clinicq.outbox (channel, purpose, webhook_id, payload)
    SELECT 'webhook', 'manual', w.id, jsonb_build_object('type', 'many', 'data', jsonb_build_object('position', n))
    FROM generate_series(1, 50) AS n, clinicq.webhook w WHERE w.url ~ ':$hook_port/' ORDER BY n, w.id;
SQL
last=$(owner -c "SELECT max(id) FROM clinicq.outbox")
first=$((last - 9999))
of_all() { owner -c "SELECT $1 FROM clinicq.outbox WHERE id >= $first"; }
check_is "ten thousand deliveries wait" "$(of_all "count(*) FILTER (WHERE state = 'pending')")" 10000
orders twilio "rate 0.2 500 429 close lost"
orders smtp "rate 0.2 451 421 452 close lost"
orders webhook "rate 0.2 500 503 429 close lost"
orders drive "rate 0.2 500 503 429 close lost checksum partial"
orders s3 "rate 0.2 500 503 close lost middle"

begin=$SECONDS
clinicq_deliver_up || check "a deliverer is up" false
one=$CLINICQ_DELIVER_PID
clinicq_deliver_up || check "another is up" false
killed=0
while [ "$(of_all "count(*) FILTER (WHERE state <> 'done')")" != 0 ] && [ $((SECONDS - begin)) -lt 900 ]; do
    sleep 3
    # As if the pauses were over; what a deliverer has stays its own.
    superuser -c "UPDATE clinicq.outbox SET next_attempt_at = now() WHERE id >= $first AND state = 'failed'" >/dev/null
    kill -9 "$one" 2>/dev/null
    wait "$one" 2>/dev/null
    killed=$((killed + 1))
    one=$CLINICQ_DELIVER_PID
    clinicq_deliver_up || check "one more is up" false
done
say "# $((SECONDS - begin)) s, $killed deliverers killed, $(of_all "sum(attempts)") attempts"
check_is "all are done" "$(of_all "string_agg(DISTINCT state, ' ')")" 'done'
check "deliverers were killed on the way" [ "$killed" -ge 3 ]
check "attempts failed on the way" [ "$(of_all "sum(attempts)")" -gt 11000 ]

# counted NAME: what of that kind the far side has, how many different, and how many of the one it has most of
counted() { /usr/bin/python3 "$CLINICQ_TOP/tests/deliver/far/counted" "$1" "${FAR[$2]}/record"; }
check_is "each text message was sent once" "$(counted sms twilio)" "4600 4600 1"
check_is "each image is in Drive once" "$(counted drive drive)" "300 300 1"
check_is "each image is in the bucket" "$(counted s3 s3 | cut -d ' ' -f 2)" 300
check_is "each e-mail came" "$(counted email smtp | cut -d ' ' -f 2)" 3600
say "# e-mails, by Message-ID: $(counted email smtp); SMTP cannot be asked what it has"
check_is "each webhook came" "$(counted webhook webhook | cut -d ' ' -f 2)" $((endpoints * 50))
say "# webhooks, by webhook-id: $(counted webhook webhook)"
check_is "each endpoint was told in order" "$(counted order webhook)" "$endpoints of $endpoints"
kill -9 "$one" 2>/dev/null
wait "$one" 2>/dev/null
unset CLINICQ_TWILIO_TOKEN CLINICQ_TWILIO_URL FAR_TWILIO_TOKEN FAR_HANG FAR_SEED CLINICQ_DRIVE_URL CLINICQ_DRIVE_KEY_FILE \
    CLINICQ_S3_ACCESS_KEY CLINICQ_S3_SECRET_KEY CLINICQ_WEBHOOK_SECRETS_FILE CLINICQ_CA_FILE
