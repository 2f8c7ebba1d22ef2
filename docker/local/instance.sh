# shellcheck shell=bash
# The local instance of this checkout: what run, start, stop, psql and fresh share.
set -euo pipefail
# shellcheck source=docker/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RUN=$CLINICQ_TOP/.run
CLUSTER=$RUN/cluster
SHIM=$RUN/clinicq-shim
ADDRESS=${CLINICQ_ADDRESS:-127.0.0.1}
PORT=${CLINICQ_PORT:-8080}
METRICS_PORT=${CLINICQ_METRICS_PORT:-9080}
URL=http://$ADDRESS:$PORT
DELIVER_METRICS_PORT=${CLINICQ_DELIVER_METRICS_PORT:-9081}
METRICS_URL=http://127.0.0.1:$METRICS_PORT
USERS='admin assistant doctor display'

cluster() { CLINICQ_KEEPER=on "$CLINICQ_TOP/docker/local/cluster" "$@"; }

# Where the server's user cannot reach the checkout (a closed home), .run is a link to a folder
# that it can reach.
ensure_run_folder() {
    if [ -L "$RUN" ] && [ ! -d "$RUN" ]; then
        rm "$RUN"
    fi
    if [ ! -d "$RUN" ]; then
        if as_server test -x "$CLINICQ_TOP" 2>/dev/null; then
            mkdir "$RUN"
        else
            local folder
            folder=$(TMPDIR=/var/tmp make_reachable_folder local) || exit 1
            ln -s "$folder" "$RUN"
        fi
        chmod 711 "$RUN"
    fi
}

# One run, start or stop at a time. What is started in the background must close descriptor 9.
lock() {
    exec 9>"$RUN/lock"
    flock -n 9 || {
        say "Waiting for another make run, start or stop in this checkout."
        flock 9
    }
}
unlock() { exec 9>&-; }

# program_pid shim|deliver: of the process that runs
program_pid() {
    local pid
    pid=$(cat "$RUN/$1.pid" 2>/dev/null) || return 1
    # The number may belong to any process by now, so its command line has to be ours.
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$(readlink -f "$SHIM")" && say "$pid"
}
shim_pid() { program_pid shim; }
foreground_pid() {
    local pid
    pid=$(cat "$RUN/foreground.pid" 2>/dev/null) || return 1
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qE '(^|/)run$' && say "$pid"
}

# need_free_port SETTING ADDRESS PORT
need_free_port() {
    [ "$3" != 0 ] || return 0
    ! port_in_use "$2" "$3" ||
        die "Port $3 is in use by another program; set $1 to a free one, as in: $1=$(($3 + 1)) make start"
}

# Builds and stages. Succeeds without a change, too; `changed` tells.
build() {
    changed=no
    mkdir -p "$CLUSTER"
    rm -rf "$CLUSTER/stage.new"
    clinicq_stage "$CLINICQ_TOP" "$CLUSTER/stage.new" || die "The build failed."
    if [ -d "$CLUSTER/stage" ] && diff -rq "$CLUSTER/stage" "$CLUSTER/stage.new" >/dev/null; then
        rm -rf "$CLUSTER/stage.new"
    else
        changed=yes
    fi
}

use_build() {
    [ "$changed" = yes ] || return 0
    rm -rf "$CLUSTER/stage"
    mv "$CLUSTER/stage.new" "$CLUSTER/stage"
}

# stop_program shim|deliver
stop_program() {
    local pid
    pid=$(program_pid "$1") || return 0
    kill -TERM "$pid" 2>/dev/null || true
    for _ in {1..150}; do
        alive "$pid" || break
        sleep 0.1
    done
    if alive "$pid"; then
        kill -KILL "$pid" 2>/dev/null || true
        warn "The $1 did not stop within 15 s and was killed."
    fi
    rm -f "$RUN/$1.pid"
}

stop_all() {
    stop_program deliver
    stop_program shim
    [ ! -d "$CLUSTER/server" ] || cluster stop "$CLUSTER"
    rm -f "$RUN/foreground.pid"
}

# start_program shim|deliver [ARGUMENT...]: in the background, with the environment of now
start_program() {
    local log=$RUN/$1.log pid_file=$RUN/$1.pid
    shift
    if [ -e "$log" ] && [ "$(stat -c %s "$log")" -gt 10000000 ]; then mv "$log" "$log.old"; fi
    (
        umask 077
        # A session of its own, so that Ctrl-C reaches it only by way of stop_program.
        exec_as_server setsid "$(readlink -f "$SHIM")" "$@" 9>&- </dev/null >>"$log" 2>&1
    ) &
    say $! >"$pid_file"
    disown $!
}

# await_program shim|deliver URL: until it is ready
await_program() {
    for _ in {1..300}; do
        ! curl -fsS -m 2 -o /dev/null "$2" 2>/dev/null || return 0
        alive "$(cat "$RUN/$1.pid")" || break
        sleep 0.1
    done
    tail -n 2 "$RUN/$1.log" >&2
    stop_all
    die "The $1 did not become ready; its log is .run/$1.log."
}

start_shim() {
    install -m 755 "$(staged_shim "$CLUSTER/stage")" "$SHIM"
    CLINICQ_SHIM_DSN=$(cluster dsn "$CLUSTER" shim) CLINICQ_ADDRESS=$ADDRESS CLINICQ_PORT=$PORT \
        CLINICQ_METRICS_PORT=$METRICS_PORT \
        CLINICQ_CORS_ORIGINS=${CLINICQ_CORS_ORIGINS-http://localhost:5173,http://127.0.0.1:5173} \
        start_program shim
    if [ "$METRICS_PORT" = 0 ]; then
        await_program shim "$URL/api/health/"
    else
        await_program shim "$METRICS_URL/ready"
    fi
}

start_deliverer() {
    CLINICQ_DELIVER_DSN=$(cluster dsn "$CLUSTER" deliver) CLINICQ_DELIVER_METRICS_PORT=$DELIVER_METRICS_PORT \
        start_program deliver deliver
    [ "$DELIVER_METRICS_PORT" = 0 ] || await_program deliver "http://127.0.0.1:$DELIVER_METRICS_PORT/ready"
}

dba_psql() (
    eval "$(cluster environment "$CLUSTER" dba)"
    exec "$CLINICQ_PGBIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"
)

# The passwords go through standard input: a command line can be read by everybody.
load_demo() {
    [ ! -e "$CLUSTER/demo" ] || return 0
    local user
    for user in $USERS; do
        [ "$(value_of "$CLUSTER/passwords" "${user^^}")" ] ||
            say "${user^^}=$(make_password)" >>"$CLUSTER/passwords"
    done
    {
        for user in $USERS; do
            say "\\set ${user}_password $(value_of "$CLUSTER/passwords" "${user^^}")"
        done
        cat "$CLINICQ_TOP/docker/local/demo.sql"
    } | dba_psql --single-transaction -f - >/dev/null || die "The demo data could not be loaded."
    : >"$CLUSTER/demo"
}

write_env() {
    local user
    (
        umask 077
        {
            say "CLINICQ_URL=$URL"
            say "CLINICQ_METRICS_URL=$METRICS_URL"
            say "CLINICQ_DSN=$(cluster dsn "$CLUSTER" dba)"
            say "CLINICQ_SUPERUSER_DSN=$(cluster dsn "$CLUSTER" superuser)"
            say "CLINICQ_SHIM_DSN=$(cluster dsn "$CLUSTER" shim)"
            say "CLINICQ_DELIVER_DSN=$(cluster dsn "$CLUSTER" deliver)"
            for user in $USERS; do
                say "CLINICQ_${user^^}=$user:$(value_of "$CLUSTER/passwords" "${user^^}")"
            done
        } >"$RUN/env.new"
    )
    mv "$RUN/env.new" "$RUN/env"
}

# Everything up to a shim that answers. Called with the lock held and nothing running.
bring_up() {
    need_free_port CLINICQ_PORT "$ADDRESS" "$PORT"
    need_free_port CLINICQ_METRICS_PORT 127.0.0.1 "$METRICS_PORT"
    need_free_port CLINICQ_DELIVER_METRICS_PORT 127.0.0.1 "$DELIVER_METRICS_PORT"
    use_build
    [ -d "$CLUSTER/server/data" ] || say "Creating a private PostgreSQL cluster in .run/cluster"
    cluster create "$CLUSTER"
    cluster start "$CLUSTER" 9>&-
    if ! { cluster database "$CLUSTER" && load_demo; }; then
        stop_all
        exit 1
    fi
    write_env
    start_shim
    start_deliverer
}

# Packages, build, and what may still run from a kill -9 or an older build.
prepare() {
    "$CLINICQ_TOP/docker/local/packages" run
    clinicq_use_postgres
    ensure_run_folder
    lock
}

welcome() {
    local user queue json="-H 'Content-Type: application/json'"
    local token="-H \"Authorization: Token \$TOKEN\""
    queue=$(dba_psql -c "SELECT min(id) FROM clinicq.queue WHERE name = 'General'")
    cat <<TEXT

ClinicQ runs at $URL

  user       password
$(for user in $USERS; do printf '  %-10s %s\n' "$user" "$(value_of "$CLUSTER/passwords" "${user^^}")"; done)

Log in, register a patient, open a visit:

TOKEN=\$(curl -s $URL/api/auth/login/ $json -d '{"username": "assistant", "password": "$(value_of "$CLUSTER/passwords" ASSISTANT)"}' | sed 's/.*"token" *: *"\\([^"]*\\)".*/\\1/'); echo "token \$TOKEN"
PATIENT=\$(curl -s $URL/api/patients/ $token $json -d '{"name": "Asha Rao", "phone": "0712345678", "gender": "FEMALE"}' | sed 's/.*"registration_number" *: *"\\([^"]*\\)".*/\\1/'); echo "patient \$PATIENT"
curl -s $URL/api/visits/ $token $json -d "{\\"patient\\": \\"\$PATIENT\\", \\"queue\\": $queue}"; echo

Settings for scripts: .run/env   Logs: .run/shim.log, .run/deliver.log   Metrics: $METRICS_URL/metrics
TEXT
}
