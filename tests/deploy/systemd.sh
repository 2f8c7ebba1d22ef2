# shellcheck shell=bash
# The units are understood whole, leave little exposed, and the shim works inside its limits; deliverer.sh does
# the same with the deliverer.
# shellcheck disable=SC2154,SC2034
units=$CLINICQ_TOP/docker/systemd

# unit_verifies NAME: what systemd says of the unit, and of what is in $work/unit/NAME.d
unit_verifies() {
    local said
    install -D -m 755 /bin/true "$work/unit/clinicq-shim"
    sed "s|^ExecStart=[^ ]*|ExecStart=$work/unit/clinicq-shim|" "$units/$1" >"$work/unit/$1"
    said=$(systemd-analyze verify --man=no "$work/unit/$1" 2>&1 | grep -F "$1")
    [ -z "$said" ] || {
        say "$said"
        return 1
    }
}
unit=$units/clinicq-shim.service
for name in clinicq-shim.service clinicq-deliver.service; do
    check "systemd-analyze verify has nothing to say about $name" unit_verifies "$name"
    # From 0, nothing exposed, to 10; a unit without options has 9.6.
    check "systemd-analyze security: an exposure of 1.2 at most" \
        systemd-analyze security --no-pager --offline=true --threshold=12 "$units/$name"
done
# The drop-in is read from beside the unit.
direct=$CLINICQ_TOP/docker/systemd/direct.conf
install -D -m 644 "$direct" "$work/unit/clinicq-shim.service.d/direct.conf"
check "nor about the shim with TLS of its own and clients of other hosts" unit_verifies clinicq-shim.service
misspelt_is_found() {
    local found
    sed -i 's/^LoadCredential=/LoadCredentials=/' "$work/unit/clinicq-shim.service.d/direct.conf"
    found=$(systemd-analyze verify --man=no "$work/unit/clinicq-shim.service" 2>&1 | grep -c 'direct.conf.*LoadCredentials')
    install -m 644 "$direct" "$work/unit/clinicq-shim.service.d/direct.conf"
    [ "$found" = 2 ] || say "found $found"
    [ "$found" = 2 ]
}
check "which it would have, were an option misspelt there" misspelt_is_found
check "with it the exposure is 1.2 at most too" \
    systemd-analyze security --no-pager --offline=true --threshold=12 "$work/unit/clinicq-shim.service"
rm -r "$work/unit/clinicq-shim.service.d"
check "the units start what make install puts there" \
    test "$(sed -n 's/^ExecStart=//p' "$unit" "$units/clinicq-deliver.service" | tr '\n' ' ')" = "/usr/local/bin/clinicq-shim /usr/local/bin/clinicq-shim deliver "

sysusers() {
    mkdir -p "$work/sysusers/etc"
    systemd-sysusers --root="$work/sysusers" "$CLINICQ_TOP/docker/systemd/clinicq.sysusers" &&
        grep '^clinicq:.*nologin$' "$work/sysusers/etc/passwd"
}
check "systemd-sysusers makes its user, without a shell" sysusers

# expand SET...: the system calls of systemd's sets
expand() {
    local name
    for name in "$@"; do
        case $name in
        @*)
            # shellcheck disable=SC2046
            expand $(systemd-analyze --no-pager syscall-filter "$name" | sed -n 's/^ *\(@\?[a-z][a-z0-9_-]*\)$/\1/p' |
                grep -vxF "$name")
            ;;
        *) say "$name" ;;
        esac
    done
}
# allowed_calls UNIT: the lines of SystemCallFilter one after the other, as systemd.exec(5) has it.
allowed_calls() {
    local line
    expand @default >"$work/calls"
    while read -r line; do
        # shellcheck disable=SC2086
        case $line in
        \~*)
            expand ${line#\~} >"$work/taken"
            expand @default | grep -vxFf - "$work/taken" >"$work/taken.now"
            grep -vxFf "$work/taken.now" "$work/calls" >"$work/calls.new"
            ;;
        *) { cat "$work/calls" && expand $line; } >"$work/calls.new" ;;
        esac
        mv "$work/calls.new" "$work/calls"
    done < <(sed -n 's/^SystemCallFilter=//p' "$1")
    sort -u "$work/calls"
}

confine_builds() {
    gcc -O2 -Wall -Wextra -Werror -o "$work/confine" "$CLINICQ_TOP/tests/deploy/confine.c" -lseccomp &&
        allowed_calls "$unit" >"$work/allowed"
}
check "the unit's filter is turned into system calls" confine_builds
is_allowed() { grep -qx "$1" "$work/allowed"; }
is_refused() { ! is_allowed "$1"; }
for call in epoll_wait accept4 prlimit64 sendto; do check "the unit allows $call" is_allowed "$call"; done
for call in ptrace mount setuid chown reboot bpf; do check "the unit refuses $call" is_refused "$call"; done

# What a unit asks of systemd, asked of the kernel: a system read-only but for the log folder, no
# capability, none to be gained, the filter. The rest of its options take away what a network server
# never has. Names are those of $work/hosts, where there is one.
# confined ALLOWED NAME=VALUE... PROGRAM [ARGUMENT...]
confined() {
    chown -R "$(clinicq_server_user):" "$work/log"
    exec unshare --mount --propagation private -- bash -euc '
        work=$1 user=$2 allowed=$3
        shift 3
        mount --bind "$work/log" "$work/log"
        [ ! -e "$work/hosts" ] || mount --bind "$work/hosts" /etc/hosts
        mount -o remount,bind,ro /
        ! touch "$work/written" 2>/dev/null
        exec setpriv --reuid="$user" --regid="$user" --clear-groups --bounding-set=-all --inh-caps=-all \
            --no-new-privs -- env -i "$@" <"$allowed"
    ' confined "$work" "$(clinicq_server_user)" "$@"
}
# confined_shim [NAME=VALUE...]
confined_shim() {
    printf '%s\n' "$CLINICQ_SHIM_DSN" >"$work/dsn"
    chown "$(clinicq_server_user):" "$work/dsn"
    confined "$work/allowed" CLINICQ_SHIM_DSN_FILE="$work/dsn" CLINICQ_PORT="$confined_port" \
        CLINICQ_METRICS_PORT="$confined_metrics" CLINICQ_LOG_FILE="$work/log/shim.log" "$@" \
        "$work/confine" "$CLINICQ_CLUSTER/clinicq-shim.0"
}
confined_works() {
    local user=${CLINICQ_ASSISTANT%%:*} password=${CLINICQ_ASSISTANT#*:} url=${confined_scheme:-http}://127.0.0.1:$confined_port token
    answers "http://127.0.0.1:$confined_metrics/ready" &&
        token=$(curl -fsSk "$url/api/auth/login/" -d username="$user" -d password="$password" |
            sed 's/.*"token":"\([^"]*\)".*/\1/') &&
        curl -fsSk "$url/api/patients/" -H "Authorization: Token $token" -d name=Confined -d gender=OTHER &&
        curl -fsS "http://127.0.0.1:$confined_metrics/metrics" >/dev/null
}
limits_of() { sed -n 's/^\(CapEff\|CapBnd\|NoNewPrivs\|Seccomp\):\t*/\1 /p' "/proc/$1/status" | tr '\n' ' '; }
no_rights='CapEff 0000000000000000 CapBnd 0000000000000000 NoNewPrivs 1 Seccomp 2 '
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$work/log"
    confined_port=$(free_port)
    confined_metrics=$(free_port)
    confined_shim >"$work/confined.log" 2>&1 &
    confined_pid=$!
    pids[confined_pid]=$confined_pid
    check "the shim confined like that logs in and registers a patient" confined_works
    check "it logs into the one folder that it can write to" grep -q '"msg":"request"' "$work/log/shim.log"
    check_is "it has no capability, can gain none, and its system calls are filtered" "$(limits_of "$confined_pid")" "$no_rights"
    kill -HUP "$confined_pid"
    sleep 0.2
    check "SIGHUP, as systemctl reload sends it, leaves it running" confined_works
    kill -TERM "$confined_pid"
    confined_status=0
    wait "$confined_pid" || confined_status=$?
    unset "pids[confined_pid]"
    check_is "it ends by itself at SIGTERM" "$confined_status" 0
    [ "$confined_status" = 0 ] || sed 's/^/# /' "$work/confined.log"

    # The settings of the drop-in, on credentials as systemd hands them over.
    mkdir -p "$work/credentials"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=clinic.example \
        -keyout "$work/credentials/tls.key" -out "$work/credentials/tls.crt" 2>"$work/openssl.log" || cat "$work/openssl.log"
    chmod 400 "$work/credentials"/* && chmod 500 "$work/credentials"
    chown -R "$(clinicq_server_user):" "$work/credentials"
    credentials_are() { comm -3 <(sed -n 's/^LoadCredential=\([^:]*\):.*/\1/p' "$direct" | sort) <(cd "$work/credentials" && ls); }
    check_is "direct.conf hands over certificate and key" "$(credentials_are)" ""
    mapfile -t direct_settings < <(sed -n "s|%d|$work/credentials|g; s/^Environment=//p" "$direct" | tr ' ' '\n')
    confined_port=$(free_port)
    confined_metrics=$(free_port)
    confined_scheme=https
    confined_shim "${direct_settings[@]}" >"$work/confined.log" 2>&1 &
    confined_pid=$!
    pids[confined_pid]=$confined_pid
    check "with the settings of direct.conf it serves over TLS, as confined" confined_works
    check "and not without" eval '! curl -fsS -m 5 "http://127.0.0.1:$confined_port/api/health/" 2>/dev/null'
    stopped "$confined_pid"
else
    say "# not root: the shim is not run confined"
fi
