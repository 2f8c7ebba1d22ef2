# shellcheck shell=bash
# Throwaway clusters and shims for a suite. Source it first:
#   . "$(dirname "$0")/../lib/cluster.sh"
#
#   clinicq_cluster_up NAME [bare]  a new cluster with database clinicq, extension, migrate(), login
#                                   roles (bare: only the server); then as clinicq_cluster_use NAME
#   clinicq_cluster_use NAME        exports CLINICQ_DSN (clinicq_dba), CLINICQ_SUPERUSER_DSN,
#                                   CLINICQ_SHIM_DSN, CLINICQ_DELIVER_DSN and CLINICQ_CLUSTER, the cluster's folder
#   clinicq_server COMMAND          start, stop [MODE], status, database (see docker/local/cluster)
#   clinicq_environment ROLE        PGHOST and so on, for: eval "$(clinicq_environment superuser)"
#   clinicq_users_up                the four users; exports CLINICQ_ADMIN, CLINICQ_ASSISTANT,
#                                   CLINICQ_DOCTOR and CLINICQ_DISPLAY as user:password
#   clinicq_shim_up [BINARY]        a shim on free ports; exports CLINICQ_URL, CLINICQ_METRICS_URL,
#                                   CLINICQ_SHIM_PID and CLINICQ_SHIM_LOG; calls clinicq_users_up
#   clinicq_shim_down [SIGNAL]      stops the last shim; its exit code is in CLINICQ_SHIM_STATUS
#   clinicq_deliver_up [BINARY]     a deliverer; exports CLINICQ_DELIVER_PID, CLINICQ_DELIVER_LOG and
#                                   CLINICQ_DELIVER_METRICS_URL
#   clinicq_deliver_down [SIGNAL]   stops it; its exit code is in CLINICQ_DELIVER_STATUS
#   clinicq_down                    removes everything. Runs on EXIT, INT and TERM by itself; a suite
#                                   with an EXIT trap of its own has to call it there.
#
# CLINICQ_PGBIN is in front of PATH. A suite sets before clinicq_cluster_up, if it needs to:
#   CLINICQ_TEST_FSYNC=on   a durable cluster (the default is fsync=off)
#   CLINICQ_TEST_CONF       lines for postgresql.conf
#   CLINICQ_KEEPER=on       the extension preloaded, with its keeper at work

# shellcheck source=docker/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../docker/local/lib.sh"
clinicq_use_postgres
export PATH="$CLINICQ_PGBIN:$PATH" LC_ALL=C.UTF-8
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS CLINICQ_PGPORT

declare -A CLINICQ_CLUSTERS=()
CLINICQ_SHIM_PIDS=()
CLINICQ_SHIM_LOGS=()
CLINICQ_DELIVER_PIDS=()
CLINICQ_DELIVER_LOGS=()
CLINICQ_OWN_STAGE=''
CLINICQ_SANITIZED='ERROR: (Address|Leak|Thread)Sanitizer|runtime error:'

# tests/run stages one build for all suites; a suite that runs by itself makes its own.
clinicq_stage_up() {
    [ -z "${CLINICQ_STAGE:-}" ] || return 0
    CLINICQ_OWN_STAGE=$(make_reachable_folder stage) || return 1
    clinicq_stage "$CLINICQ_TOP" "$CLINICQ_OWN_STAGE" || die "The build failed."
    export CLINICQ_STAGE=$CLINICQ_OWN_STAGE
}

clinicq_cluster_up() {
    local folder
    clinicq_stage_up || return 1
    folder=$(make_reachable_folder "$1") || return 1
    CLINICQ_CLUSTERS[$1]=$folder
    export CLINICQ_CLUSTER=$folder
    clinicq_server create && clinicq_server start || return 1
    [ "${2:-}" = bare ] || clinicq_server database || return 1
    clinicq_cluster_use "$1"
}

clinicq_cluster_use() {
    export CLINICQ_CLUSTER=${CLINICQ_CLUSTERS[$1]}
    CLINICQ_DSN=$(clinicq_server dsn dba)
    CLINICQ_SUPERUSER_DSN=$(clinicq_server dsn superuser)
    CLINICQ_SHIM_DSN=$(clinicq_server dsn shim)
    CLINICQ_DELIVER_DSN=$(clinicq_server dsn deliver)
    export CLINICQ_DSN CLINICQ_SUPERUSER_DSN CLINICQ_SHIM_DSN CLINICQ_DELIVER_DSN
}

clinicq_server() {
    local command=$1 conf='shared_buffers = 128MB'
    shift
    [ "${CLINICQ_TEST_FSYNC:-off}" = on ] || conf+=$'\nfsync = off\nfull_page_writes = off'
    CLINICQ_PG_CONF="$conf"$'\n'"${CLINICQ_TEST_CONF:-}" CLINICQ_INITDB_CACHE=${CLINICQ_TEST_CACHE:-} \
        "$CLINICQ_TOP/docker/local/cluster" "$command" "$CLINICQ_CLUSTER" "$@"
}

clinicq_environment() { clinicq_server environment "$1"; }

clinicq_users_up() {
    local file=$CLINICQ_CLUSTER/users user
    if [ ! -e "$file" ]; then
        for user in admin assistant doctor display; do
            say "$user=$user:$(make_password)"
        done >"$file"
        while IFS=:= read -r user _ password; do
            say "SELECT clinicq.create_user('$user', '{$user}', '$password');"
        done <"$file" | psql "$CLINICQ_DSN" -X -q -v ON_ERROR_STOP=1 >/dev/null || {
            rm -f "$file"
            return 1
        }
    fi
    CLINICQ_ADMIN=$(value_of "$file" admin)
    CLINICQ_ASSISTANT=$(value_of "$file" assistant)
    CLINICQ_DOCTOR=$(value_of "$file" doctor)
    CLINICQ_DISPLAY=$(value_of "$file" display)
    export CLINICQ_ADMIN CLINICQ_ASSISTANT CLINICQ_DOCTOR CLINICQ_DISPLAY
}

clinicq_shim_up() {
    local binary=${1:-${CLINICQ_SHIM_BINARY:-$(staged_shim "$CLINICQ_STAGE")}} number copy port metrics
    clinicq_users_up || return 1
    number=${#CLINICQ_SHIM_PIDS[@]}
    # The server's user may not reach the checkout, and a rebuild must not pull the file away.
    copy=$CLINICQ_CLUSTER/clinicq-shim.$number
    cp "$binary" "$copy" && chmod 755 "$copy" || return 1
    export CLINICQ_SHIM_LOG=$CLINICQ_CLUSTER/shim.$number.log
    for _ in 1 2 3 4 5; do
        port=$(free_port)
        metrics=$(free_port)
        (
            # A suite is one client that asks more than any user does.
            export CLINICQ_ADDRESS_BURST=${CLINICQ_ADDRESS_BURST:-0} CLINICQ_LOGIN_BURST=${CLINICQ_LOGIN_BURST:-0}
            export CLINICQ_USER_BURST=${CLINICQ_USER_BURST:-0} CLINICQ_WRITE_BURST=${CLINICQ_WRITE_BURST:-0}
            export CLINICQ_ADDRESS_CONNECTIONS=${CLINICQ_ADDRESS_CONNECTIONS:-0}
            export CLINICQ_ADDRESS=127.0.0.1 CLINICQ_PORT=$port CLINICQ_METRICS_PORT=$metrics
            unset CLINICQ_ADMIN CLINICQ_ASSISTANT CLINICQ_DOCTOR CLINICQ_DISPLAY
            exec_as_server "$copy"
        ) </dev/null >"$CLINICQ_SHIM_LOG" 2>&1 &
        export CLINICQ_SHIM_PID=$!
        CLINICQ_SHIM_PIDS[number]=$CLINICQ_SHIM_PID
        CLINICQ_SHIM_LOGS[number]=$CLINICQ_SHIM_LOG
        export CLINICQ_URL=http://127.0.0.1:$port CLINICQ_METRICS_URL=http://127.0.0.1:$metrics
        for _ in {1..300}; do
            if curl -fsS -m 2 -o /dev/null "$CLINICQ_METRICS_URL/ready" 2>/dev/null; then
                return 0
            fi
            alive "$CLINICQ_SHIM_PID" || break
            sleep 0.1
        done
        clinicq_shim_down
    done
    warn "The shim did not become ready:"
    tail -n 5 "$CLINICQ_SHIM_LOG" >&2
    return 1
}

# stop_program PID LOG [SIGNAL]: its exit code is in $stopped.
stop_program() {
    local pid=$1 log=$2
    kill "-${3:-TERM}" "$pid" 2>/dev/null || true
    for _ in {1..200}; do
        alive "$pid" || break
        sleep 0.1
    done
    if alive "$pid"; then
        kill -KILL "$pid" 2>/dev/null || true
        warn "The shim did not stop within 20 s and was killed."
    fi
    stopped=0
    wait "$pid" 2>/dev/null || stopped=$?
    if grep -qE "$CLINICQ_SANITIZED" "$log" 2>/dev/null; then
        warn "The sanitizers found:"
        grep -E -A 12 "$CLINICQ_SANITIZED" "$log" | tee -a "${CLINICQ_TEST_REPORT:-/dev/null}" >&2
    fi
}

clinicq_shim_down() {
    local stopped
    [ -n "${CLINICQ_SHIM_PID:-}" ] || return 0
    stop_program "$CLINICQ_SHIM_PID" "$CLINICQ_SHIM_LOG" "${1:-TERM}"
    export CLINICQ_SHIM_STATUS=$stopped CLINICQ_SHIM_PID=''
}

clinicq_deliver_up() {
    local binary=${1:-${CLINICQ_SHIM_BINARY:-$(staged_shim "$CLINICQ_STAGE")}} number copy port
    number=${#CLINICQ_DELIVER_PIDS[@]}
    copy=$CLINICQ_CLUSTER/clinicq-deliver.$number
    cp "$binary" "$copy" && chmod 755 "$copy" || return 1
    export CLINICQ_DELIVER_LOG=$CLINICQ_CLUSTER/deliver.$number.log
    port=$(free_port)
    (
        export CLINICQ_DELIVER_METRICS_PORT=$port
        unset CLINICQ_SHIM_DSN CLINICQ_ADMIN CLINICQ_ASSISTANT CLINICQ_DOCTOR CLINICQ_DISPLAY
        exec_as_server "$copy" deliver
    ) </dev/null >"$CLINICQ_DELIVER_LOG" 2>&1 &
    export CLINICQ_DELIVER_PID=$!
    CLINICQ_DELIVER_PIDS[number]=$CLINICQ_DELIVER_PID
    CLINICQ_DELIVER_LOGS[number]=$CLINICQ_DELIVER_LOG
    export CLINICQ_DELIVER_METRICS_URL=http://127.0.0.1:$port
    for _ in {1..300}; do
        ! curl -fsS -m 2 -o /dev/null "$CLINICQ_DELIVER_METRICS_URL/ready" 2>/dev/null || return 0
        alive "$CLINICQ_DELIVER_PID" || break
        sleep 0.1
    done
    warn "The deliverer did not become ready:"
    tail -n 5 "$CLINICQ_DELIVER_LOG" >&2
    return 1
}

clinicq_deliver_down() {
    local stopped
    [ -n "${CLINICQ_DELIVER_PID:-}" ] || return 0
    stop_program "$CLINICQ_DELIVER_PID" "$CLINICQ_DELIVER_LOG" "${1:-TERM}"
    export CLINICQ_DELIVER_STATUS=$stopped CLINICQ_DELIVER_PID=''
}

clinicq_down() {
    local name number
    for number in "${!CLINICQ_SHIM_PIDS[@]}"; do
        CLINICQ_SHIM_PID=${CLINICQ_SHIM_PIDS[number]}
        CLINICQ_SHIM_LOG=${CLINICQ_SHIM_LOGS[number]}
        clinicq_shim_down
    done
    CLINICQ_SHIM_PIDS=()
    for number in "${!CLINICQ_DELIVER_PIDS[@]}"; do
        CLINICQ_DELIVER_PID=${CLINICQ_DELIVER_PIDS[number]}
        CLINICQ_DELIVER_LOG=${CLINICQ_DELIVER_LOGS[number]}
        clinicq_deliver_down
    done
    CLINICQ_DELIVER_PIDS=()
    for name in "${!CLINICQ_CLUSTERS[@]}"; do
        CLINICQ_CLUSTER=${CLINICQ_CLUSTERS[$name]}
        clinicq_server destroy || true
    done
    CLINICQ_CLUSTERS=()
    [ -z "$CLINICQ_OWN_STAGE" ] || rm -rf "$CLINICQ_OWN_STAGE"
    CLINICQ_OWN_STAGE=''
    return 0
}

trap clinicq_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
