# shellcheck shell=bash
# What the load and fault suites and the bench share. Source it after tests/lib/cluster.sh.
#
#   load_up [VARIABLE=VALUE...]  a durable cluster, a shim with those settings, users, the clients'
#                                program; exports CLINICQ_TOKEN (an administrator's), CLIENTS, WORK
#   owner [PSQL OPTION...]       psql as clinicq_dba: bare values, stops at the first error
#   superuser [PSQL OPTION...]   the same as superuser
#   log_in USER:PASSWORD         prints a token
#   make_queues N [PREFIX]       N new queues; prints their ids with commas between
#   make_patients N PREFIX       N new patients by psql; prints their numbers
#   clients OPTION...            the clients against CLINICQ_URL
#   load_journals RUN...         journals $WORK/journal.RUN.* into the table load.journal
#   median, ratio A B, percent R for benches; mark TEXT CONDITION (of awk) adds a line to $marks
#   violations                   one line for each invariant: name|number of rows that break it

load_up() {
    export CLINICQ_TEST_FSYNC=on
    WORK=$(make_reachable_folder load) || return 1
    CLIENTS=$WORK/clients
    export WORK CLIENTS
    cc -O2 -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$CLIENTS" "$CLINICQ_TOP/tests/load/clients.c" &&
        clinicq_cluster_up load && shim_with "$@" || return 1
    CLINICQ_TOKEN=$(log_in "$CLINICQ_ADMIN")
    export CLINICQ_TOKEN
    [ "${#CLINICQ_TOKEN}" = 64 ]
}

# Kept in the environment of this shell only while the shim starts.
shim_with() {
    local setting
    for setting in "$@"; do export "${setting?}"; done
    clinicq_shim_up
    local status=$?
    for setting in "$@"; do unset "${setting%%=*}"; done
    return "$status"
}

# Works on EXIT, where clinicq_down alone is the default.
load_down() {
    # shellcheck disable=SC2046
    kill $(jobs -p) 2>/dev/null
    clinicq_down
    rm -rf "$WORK"
}

owner() { psql "$CLINICQ_DSN" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
superuser() { psql "$CLINICQ_SUPERUSER_DSN" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

log_in() {
    curl -sS -m 10 "$CLINICQ_URL/api/auth/login/" -H 'Content-Type: application/json' \
        -d "{\"username\":\"${1%%:*}\",\"password\":\"${1#*:}\"}" |
        sed -n 's/.*"token" *: *"\([0-9a-f]*\)".*/\1/p'
}

make_queues() {
    owner -c "SELECT string_agg(clinicq.create_queue(name => '${2:-Load} ' || n)::text, ',')
              FROM generate_series(1, $1) n"
}

make_patients() {
    owner -c "SELECT clinicq.register_patient(name => '$2 ' || n, phone => '08' || lpad(n::text, 8, '0'))
              FROM generate_series(1, $1) n"
}

clients() { "$CLIENTS" "$@" "$CLINICQ_URL"; }

load_journals() {
    local name
    superuser -c "SET client_min_messages = warning" -c "CREATE SCHEMA IF NOT EXISTS load" -c "CREATE TABLE IF NOT EXISTS load.journal (
        kind text, registration_number text, name text, visit_id bigint, queue_id bigint, token_number integer)"
    for name in "$@"; do
        cat "$WORK/journal.$name".* 2>/dev/null
    done | superuser -c "COPY load.journal FROM STDIN (NULL '')"
}

violations() { superuser -f "$CLINICQ_TOP/tests/load/invariants.sql"; }

# check_invariants NAME...: loads these journals, one check over all invariants.
check_invariants() {
    local what=$1
    shift
    load_journals "$@"
    check "$what: every invariant holds" none_broken
}

none_broken() {
    local lines
    lines=$(violations) || return 1
    [ "$(wc -l <<<"$lines")" -ge 11 ] && ! grep -v '|0$' <<<"$lines"
}

# at_least A B and at_most A B, for whole and decimal numbers; say what fails.
at_least() { compare "$1" '>=' "$2"; }
at_most() { compare "$1" '<=' "$2"; }
compare() {
    awk -v a="$1" -v b="$3" "BEGIN { exit !(a != \"\" && a + 0 $2 b + 0) }" || {
        say "not $1 $2 $3"
        return 1
    }
}

# shellcheck disable=SC2034
marks=''
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", (b > 0 ? a / b : 0) }'; }
percent() { awk -v r="$1" 'BEGIN { printf "%.0f %%", 100 * r }'; }
mark() {
    local verdict=SHORT
    ! awk "BEGIN { exit !($2) }" || verdict=ok
    marks+="$(printf '  %-6s %s' "$verdict" "$1")"$'\n'
}
