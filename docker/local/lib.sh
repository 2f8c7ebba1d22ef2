# shellcheck shell=bash
# What the scripts here and in tests/ share. Sourced, never run; works with and without `set -e`.

CLINICQ_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
export CLINICQ_TOP

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    warn "$*"
    exit 1
}

# The major version of PostgreSQL to use: that of PG_CONFIG; else the newest one installed with its
# headers; else the one this Debian ships.
clinicq_pg_major() {
    local config version
    if [ -n "${PG_CONFIG:-}" ]; then
        version=$("$PG_CONFIG" --version) || return 1
        version=${version#PostgreSQL }
        say "${version%%[!0-9]*}"
        return
    fi
    version=$(for config in /usr/lib/postgresql/*/bin/pg_config; do
        version=${config#/usr/lib/postgresql/}
        version=${version%/bin/pg_config}
        [ ! -e "/usr/include/postgresql/$version/server/postgres.h" ] || say "$version"
    done | sort -n | tail -n 1)
    [ -n "$version" ] || version=$(
        # shellcheck source=/dev/null
        . /etc/os-release
        case ${VERSION_ID:-} in
        12) say 15 ;;
        13) say 17 ;;
        *) apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' ;;
        esac
    )
    say "$version"
}

# Sets and exports PG_CONFIG and CLINICQ_PGBIN.
clinicq_use_postgres() {
    if [ -z "${PG_CONFIG:-}" ]; then
        PG_CONFIG=/usr/lib/postgresql/$(clinicq_pg_major)/bin/pg_config
    fi
    [ -x "$(command -v "$PG_CONFIG")" ] || die "No pg_config at $PG_CONFIG; docker/local/packages run installs PostgreSQL."
    CLINICQ_PGBIN=$("$PG_CONFIG" --bindir)
    export PG_CONFIG CLINICQ_PGBIN
}

# The server refuses to run as root, so root hands it to postgres, or to nobody where there is none.
clinicq_server_user() {
    if [ "$(id -u)" != 0 ]; then
        id -un
    elif getent passwd postgres >/dev/null; then
        say postgres
    else
        say nobody
    fi
}

# Replaces this process, so that the id of a background job is the id of the program.
exec_as_server() {
    cd / || exit 1
    if [ "$(id -u)" = 0 ]; then
        local user
        user=$(clinicq_server_user)
        exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- "$@"
    fi
    exec "$@"
}

as_server() { (exec_as_server "$@"); }

# A folder for the server: new, empty, closed to others.
make_server_folder() {
    mkdir -m 700 "$1" && chown "$(clinicq_server_user):" "$1"
}

# A new folder with a short name that the server's user can reach, for files of NAME.
make_reachable_folder() {
    local base folder
    for base in "${TMPDIR:-/var/tmp}" /var/tmp /tmp; do
        folder=$(mktemp -d "$base/clinicq-$1.XXXXXX" 2>/dev/null) || continue
        chmod 711 "$folder"
        if as_server test -x "$folder" 2>/dev/null; then
            say "$folder"
            return
        fi
        rmdir "$folder"
    done
    warn "No folder for temporary files that $(clinicq_server_user) can reach."
    return 1
}

# 24 letters and digits: nothing that a URI, a shell or JSON would have to quote.
make_password() { head -c 96 /dev/urandom | base64 -w 0 | tr -dc 'A-Za-z0-9' | cut -c 1-24; }

uri_quote() {
    local LC_ALL=C text=$1 out='' i character
    for ((i = 0; i < ${#text}; i++)); do
        character=${text:i:1}
        case $character in
        [A-Za-z0-9._~-]) out+=$character ;;
        *) out+=$(printf '%%%02X' "'$character") ;;
        esac
    done
    say "$out"
}

# A zombie has stopped, even if its parent has not noticed yet.
alive() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }

port_in_use() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# Below the range from which the system gives out ports by itself.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        port_in_use 127.0.0.1 "$port" || break
    done
    say "$port"
}

# The value of KEY in a file of KEY=VALUE lines.
value_of() { sed -n "s/^$2=//p" "$1" 2>/dev/null | tail -n 1; }

# Builds in SOURCE and installs extension and shim below FOLDER. One build at a time in a tree.
#   clinicq_stage SOURCE FOLDER [make variable...]
clinicq_stage() {
    local source=$1 folder=$2 part
    shift 2
    (
        unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR
        umask 022
        exec 8<"$source/Makefile"
        flock 8
        for part in extension shim; do
            make -s --no-print-directory -j "$(nproc)" -C "$source/$part" "$@" PG_CONFIG="$PG_CONFIG" all 8<&- &&
                make -s --no-print-directory -C "$source/$part" "$@" PG_CONFIG="$PG_CONFIG" \
                    DESTDIR="$folder" install 8<&- >/dev/null || exit 1
        done
    )
}

staged_shim() { find "$1" -type f -name clinicq-shim | head -n 1; }

# What git would hand out of this checkout, changes included; without git all but what was built.
copy_checkout() {
    mkdir -p "$1"
    if git -C "$CLINICQ_TOP" rev-parse 2>/dev/null; then
        git -C "$CLINICQ_TOP" ls-files -z -c -o --exclude-standard
    else
        find "$CLINICQ_TOP" \( -name .git -o -name .run -o -path '*/extension/build' \
            -o -path '*/shim/build' \) -prune -o -type f -printf '%P\0'
    fi | sort -zu | tar -C "$CLINICQ_TOP" --null --ignore-failed-read -T - -cf - 2>/dev/null |
        tar -C "$1" -xf -
}
