# shellcheck shell=bash
# Proves that many large images at once need little memory. Source it after tests/load/lib.sh.
#   uploads_at_once N QUEUE    N images of 20 MiB at the same time, over HTTP, with a shim that is up: what shim
#                        and backends needed at the most is printed, and held to a limit
SHIM_KIB_EACH=2048 # that an upload may take of the shim's memory
BACKEND_KIB=16384  # of its own that a backend may have

kib() { sed -n "s/^$2:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$1/status" 2>/dev/null; }

# The most memory of its own that any backend of the shim has had, until the file is gone.
watch_backends() {
    local most=0 pid now
    while [ -e "$1" ]; do
        for pid in $(superuser -c "SELECT pid FROM pg_stat_activity WHERE usename = 'clinicq_shim'"); do
            now=$(kib "$pid" RssAnon)
            [ "${now:-0}" -le "$most" ] || most=$now
        done
        sleep 0.05
    done
    say "$most" >"$1.most"
}

# A PNG by its first bytes, of 20 MiB, that is no other's.
make_image() {
    printf '\211PNG\r\n\032\n\0\0\0\rIHDR%08d' "$1"
    head -c $((20 * 1024 * 1024 - 24)) "$WORK/noise"
}

uploads_at_once() {
    local count=$1 queue=$2 visit n before peak watcher running=$WORK/uploading uploads=()
    owner -c "SELECT clinicq.set_setting('uploads_of_user', '1000'); SELECT clinicq.register_patient('Upload')" >/dev/null
    visit=$(owner -c "SELECT visit_id FROM clinicq.open_visit((SELECT max(registration_number) FROM clinicq.patient), $queue)")
    head -c $((20 * 1024 * 1024)) /dev/urandom >"$WORK/noise"
    for ((n = 1; n <= count; n++)); do make_image "$n" >"$WORK/image.$n"; done
    before=$(kib "$CLINICQ_SHIM_PID" VmHWM)
    : >"$running"
    watch_backends "$running" &
    watcher=$!
    for ((n = 1; n <= count; n++)); do
        curl -sS -m 280 -o "$WORK/uploaded.$n" -w '%{http_code}\n' "$CLINICQ_URL/api/prescriptions/" \
            -H "Authorization: Token $CLINICQ_TOKEN" -F "visit=$visit" -F "image=@$WORK/image.$n" >"$WORK/status.$n" &
        uploads+=($!)
    done
    wait "${uploads[@]}"
    rm "$running"
    wait "$watcher"
    peak=$(kib "$CLINICQ_SHIM_PID" VmHWM)
    say "# $count images of 20 MiB at once: the shim had $before KiB before and $peak KiB at the most,"
    say "# $(((peak - before) / count)) KiB an upload; a backend $(cat "$running.most") KiB of its own at the most"
    check_is "$count images of 20 MiB at once are all taken" "$(cat "$WORK"/status.* | grep -c 201)" "$count"
    check "the shim needs at most $SHIM_KIB_EACH KiB for each" at_least $((count * SHIM_KIB_EACH)) $((peak - before))
    check "a backend has at most $BACKEND_KIB KiB of its own" at_least "$BACKEND_KIB" "$(cat "$running.most")"
    check_is "their bytes are those that were sent" "$(for ((n = 1; n <= count; n++)); do sha256sum <"$WORK/image.$n" | cut -d' ' -f1; done | sort | sha256sum)" \
        "$(superuser -c "SELECT encode(sha256(string_agg(bytes, '' ORDER BY start)), 'hex') FROM clinicq.image_chunk GROUP BY image_id" | sort | sha256sum)"
    check_is "nothing is left of the uploads" "$(superuser -c 'SELECT (SELECT count(*) FROM clinicq.upload) + (SELECT count(*) FROM clinicq.upload_chunk)')" 0
}
