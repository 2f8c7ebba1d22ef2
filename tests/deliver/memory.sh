# shellcheck shell=bash
# Fifty images of 20 MiB that have to be stored at once need little memory of the deliverer, and of backends.
# shellcheck disable=SC2154,SC1010
DELIVER_KIB=65536  # that the deliverer may take for all of them
BACKEND_KIB=16384  # of its own that a backend may have
s3_up
kib() { sed -n "s/^$2:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$1/status" 2>/dev/null; }
superuser -c 'TRUNCATE clinicq.outbox'
superuser <<'SQL'
WITH i AS (SELECT nextval('clinicq.image_id_seq') AS id, n FROM generate_series(1, 50) AS n),
c AS (SELECT i.id, k * 1048576::bigint AS start, convert_to(repeat(md5(i.n || ' ' || k), 32768), 'UTF8') AS bytes FROM i, generate_series(0, 19) AS k),
image AS (INSERT INTO clinicq.image (id, sha256, size, media_type) OVERRIDING SYSTEM VALUE
    SELECT id, sha256(string_agg(bytes, '' ORDER BY start)), 20971520, 'image/png' FROM c GROUP BY id),
chunk AS (INSERT INTO clinicq.image_chunk (image_id, start, bytes) SELECT * FROM c)
INSERT INTO clinicq.outbox (channel, purpose, image_id) SELECT 's3', 'image', id FROM i;
SQL
check_is "fifty images wait" "$(owner -c "SELECT count(*) FROM clinicq.outbox WHERE state = 'pending'")" 50
settings outbox_rates=1000 outbox_lease_seconds=120
clinicq_deliver_up || check "a deliverer is up" false
begin=$SECONDS
most=0
while [ "$(owner -c "SELECT count(*) FROM clinicq.outbox WHERE state <> 'done'")" != 0 ] && [ $((SECONDS - begin)) -lt 300 ]; do
    for pid in $(superuser -c "SELECT pid FROM pg_stat_activity WHERE usename = 'clinicq_deliver'"); do
        now=$(kib "$pid" RssAnon)
        [ "${now:-0}" -le "$most" ] || most=$now
    done
    sleep 0.1
done
peak=$(kib "$CLINICQ_DELIVER_PID" VmHWM)
say "# 50 images of 20 MiB in $((SECONDS - begin)) s: the deliverer had $peak KiB at the most, a backend $most KiB of its own"
check_is "all are stored" "$(owner -c "SELECT string_agg(DISTINCT state || ' ' || attempts, ',') FROM clinicq.outbox")" 'done 1'
check "the deliverer needs at most $DELIVER_KIB KiB" [ "$peak" -le "$DELIVER_KIB" ]
check "a backend has at most $BACKEND_KIB KiB of its own" [ "$most" -le "$BACKEND_KIB" ]
check_is "what is stored is what was sent" "$(/usr/bin/python3 "$CLINICQ_TOP/tests/deliver/far/counted" s3 "${FAR[s3]}/record")" '50 50 1'
