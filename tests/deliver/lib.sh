# shellcheck shell=bash
# Far sides, and what the parts of the suite ask of outbox and far sides. Sourced by run.

FAR_PIDS=()
declare -A FAR=()

# far_up NAME [PROGRAM [ARGUMENT...]]: starts far/NAME, or another program, in a folder of its own, ${FAR[NAME]};
# its port is in $port.
far_up() {
    local name=$1 folder
    shift
    folder=$(make_reachable_folder "far-$name") || return 1
    FAR[$name]=$folder
    [ $# -gt 0 ] || set -- "$CLINICQ_TOP/tests/deliver/far/$name"
    "$@" "$folder" </dev/null >"$folder/log" 2>&1 &
    FAR_PIDS+=($!)
    for _ in {1..100}; do
        [ ! -s "$folder/port" ] || break
        sleep 0.1
    done
    # shellcheck disable=SC2034
    port=$(cat "$folder/port" 2>/dev/null) || {
        tail -n 5 "$folder/log" >&2
        return 1
    }
}

# A folder of Google Drive, and a bucket of an S3-compatible store, with the deliverer's settings for them.
drive_up() {
    far_up drive || return 1
    export CLINICQ_DRIVE_KEY_FILE=${FAR[drive]}/key.json CLINICQ_DRIVE_URL=http://127.0.0.1:$port
    settings drive_folder=clinic-folder
}
s3_up() {
    S3RVER=$("$CLINICQ_TOP/tests/deliver/far/s3/install") || return 1
    export S3RVER FAR_SECRET=${FAR_SECRET:-$(make_password)}
    far_up s3 "$CLINICQ_TOP/tests/deliver/far/s3/proxy" || return 1
    say "$FAR_SECRET" >"${FAR[s3]}/secret"
    chmod 755 "${FAR[s3]}"
    export CLINICQ_S3_ACCESS_KEY=S3RVER CLINICQ_S3_SECRET_KEY_FILE=${FAR[s3]}/secret
    settings "s3_endpoint=http://127.0.0.1:$port" s3_region=eu-test-1 s3_bucket=clinic
}

far_down() {
    local name
    [ ${#FAR_PIDS[@]} = 0 ] || kill "${FAR_PIDS[@]}" 2>/dev/null
    [ ${#FAR_PIDS[@]} = 0 ] || wait "${FAR_PIDS[@]}" 2>/dev/null
    for name in "${!FAR[@]}"; do rm -rf "${FAR[$name]}"; done
    FAR_PIDS=()
    FAR=()
}

# orders NAME LINE...: how it fails from now on
orders() {
    local folder=${FAR[$1]}
    shift
    printf '%s\n' "$@" >"$folder/orders.new"
    chmod 644 "$folder/orders.new"
    mv "$folder/orders.new" "$folder/orders"
}

# within SECONDS COMMAND...: succeeds by then
within() {
    local i seconds=$1
    shift
    for ((i = 0; i < seconds * 10; i++)); do
        ! "$@" || return 0
        sleep 0.1
    done
    "$@"
}

# order_obeyed NAME: it has failed as it was told for the next answers
order_obeyed() { within 10 [ ! -s "${FAR[$1]}/orders" ]; }

superuser() { psql "$CLINICQ_SUPERUSER_DSN" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
owner() { psql "$CLINICQ_DSN" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# settings NAME=VALUE...: of the clinic; a deliverer takes them up within ten seconds, or at SIGHUP
settings() {
    local each
    for each in "$@"; do
        owner -v name="${each%%=*}" -v value="${each#*=}" <<<"SELECT clinicq.set_setting(:'name', :'value');" >/dev/null
    done
    [ -z "${CLINICQ_DELIVER_PID:-}" ] || kill -HUP "$CLINICQ_DELIVER_PID"
}

# enqueue CHANNEL PAYLOAD: the delivery's id
enqueue() { owner -v channel="$1" -v payload="$2" <<<"SELECT clinicq.enqueue_delivery(:'channel', :'payload');"; }

# of_delivery ID EXPRESSION
of_delivery() { owner -c "SELECT $2 FROM clinicq.outbox WHERE id = ${1:-0}"; }
state_of() { of_delivery "$1" state; }

# becomes ID STATE [SECONDS]
becomes() {
    local i
    for ((i = 0; i < ${3:-20} * 10; i++)); do
        [ "$(state_of "$1")" != "$2" ] || return 0
        sleep 0.1
    done
    of_delivery "$1" "row(state, attempts, last_error)" >&2
    return 1
}

# retry_now ID: does not wait for the pause that grows with each attempt
retry_now() { owner -c "SELECT clinicq.retry_delivery($1)" >/dev/null; }
