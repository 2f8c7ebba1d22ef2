# shellcheck shell=bash
# The images without Docker: docker/Dockerfile is carried out line by line, each stage a layer over a
# Debian 13, then started as docker/compose.yml says: read-only, without rights, secrets as files.
# shellcheck disable=SC2154,SC2034
dockerfile=$CLINICQ_TOP/docker/Dockerfile
layers=$work/layers
declare -A base user entry health image_of

# in_layers LOWER UPPER SETUP COMMAND...: COMMAND in a root made of layers; UPPER '' makes it read-only.
# SETUP is run before, in the new root's folder. Mounts and processes go with the command. With `alone`
# set, it has a network of its own.
in_layers() {
    mkdir -p "$layers/root" "$layers/none"
    # shellcheck disable=SC2016
    exec unshare --mount --pid ${alone:+--net} --fork --kill-child --propagation private -- bash -euc '
        lower=$1 upper=$2 setup=$3 layers=$4
        shift 4
        if [ "$upper" ]; then
            mkdir -p "$upper" "$upper.work"
            mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$upper.work" "$layers/root"
        else
            mount -t overlay overlay -o "lowerdir=$lower:$layers/none" "$layers/root"
        fi
        cd "$layers/root"
        mount -t proc proc proc
        mount --rbind /dev dev
        eval "$setup"
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 exec "$@"
    ' layers "$1" "$2" "$3" "$layers" "${@:4}"
}

# copy FROM INTO PATH...: as COPY does it, the contents of folders
copy() {
    local from=$1 target=${*: -1} path
    shift
    for path in "${@:1:$#-1}"; do
        if [ -d "$from/$path" ]; then
            mkdir -p "$layers/$stage$target" && cp -a "$from/$path/." "$layers/$stage$target/" || return 1
        else
            mkdir -p "$layers/$stage$target" && cp -a "$from/$path" "$layers/$stage$target" || return 1
        fi
    done
}

# The one line of a Dockerfile, or what is wrong with it.
build_line() {
    case $1 in
    FROM)
        [ "$2 $3" = "debian:trixie-slim AS" ] || return 1
        stage=$4
        mkdir -p "$layers/$stage"
        # What the first step of the build stage installs is there already: the kept Debian 13 was made by it.
        if [ "$stage" = build ]; then base[build]=$debian_suite; else base[$stage]=$debian_base; fi
        ;;
    COPY)
        case $2 in
        --from=*) copy "$layers/${2#--from=}" "${@:3}" ;;
        *) copy "$work/context" "${@:2}" ;;
        esac
        ;;
    RUN)
        [ $# -le 3 ] && [[ $2 =~ ^/(src/docker|opt/clinicq)/[a-z/]+$ && ${3:-x} =~ ^[a-z]+$ ]] || return 1
        (in_layers "${base[$stage]}" "$layers/$stage" 'cp /etc/resolv.conf etc/resolv.conf' chroot . env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "${@:2}")
        ;;
    USER) user[$stage]=$2 ;;
    HEALTHCHECK)
        [[ "$*" =~ CMD\ \[\"(/opt/clinicq/[a-z-]+)\"\]$ ]] && health[$stage]=${BASH_REMATCH[1]}
        ;;
    ENTRYPOINT) [[ "$*" =~ ^ENTRYPOINT\ \[\"(/opt/clinicq/[a-z]+)\"\]$ ]] && entry[$stage]=${BASH_REMATCH[1]} ;;
    VOLUME | STOPSIGNAL) ;;
    *) return 1 ;;
    esac
}
# Not in a subshell, which check would make: the lines leave their variables.
build_images() {
    local line words
    while read -r line; do
        [[ $line && $line != '#'* ]] || continue
        read -r -a words <<<"$line"
        say "Dockerfile: $line"
        build_line "${words[@]}" || return 1
    done <"$dockerfile"
}

compose() { # compose SERVICE KEY: the value in compose.yml, as JSON
    python3 -c 'import json, sys, yaml
value = yaml.safe_load(open(sys.argv[1]))["services"][sys.argv[2]].get(sys.argv[3])
print(json.dumps(value))' "$CLINICQ_TOP/docker/compose.yml" "$@"
}

# compose_list SERVICE KEY...: the values of a list in compose.yml, a line each
compose_list() {
    python3 -c 'import sys, yaml
value = yaml.safe_load(open(sys.argv[1]))["services"]
for key in sys.argv[2:]:
    value = value.get(key) or {}
print("\n".join(value))' "$CLINICQ_TOP/docker/compose.yml" "$@"
}

# What compose.yml gives a service, as NAME=VALUE lines, for a clinic of these answers.
compose_answers='{"CLINICQ_NAME": "clinic.example", "CLINICQ_ADMIN_USER": "head", "CLINICQ_SHARED_BUFFERS": "32MB"}'
compose_environment() {
    python3 -c 'import json, re, sys, yaml
answers = json.loads(sys.argv[3])
def answer(match):
    name, kind, text = match.groups()
    if name not in answers and kind == ":?":
        sys.exit("compose.yml: " + name + " has no answer: " + text)
    return answers.get(name, text)
for name, value in yaml.safe_load(open(sys.argv[1]))["services"][sys.argv[2]].get("environment", {}).items():
    print(name + "=" + re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", answer, value))' \
        "$CLINICQ_TOP/docker/compose.yml" "$1" "$compose_answers"
}

# start SERVICE [NAME=VALUE...] [-- ARGUMENT...]: as compose.yml does it, with its volumes, its environment and
# these beside it, its command unless there are arguments: the image's entrypoint and user, without a
# capability, read-only
start() {
    local service=$1 image=${image_of[$1]} environment arguments
    shift
    # By commands that are waited for: what is left of one would be the first process.
    mapfile -t environment <<<"$(compose_environment "$service")"
    mapfile -t arguments <<<"$(compose_list "$service" command)"
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        environment+=("$1")
        shift
    done
    [ $# = 0 ] || arguments=("${@:2}")
    [ "${arguments[0]:-}" ] || arguments=()
    in_layers "$layers/$image:${base[$image]}" '' "$(mounts_of "$service")" chroot --userspec="${user[$image]}:${user[$image]}" --groups= . \
        setpriv --no-new-privs env -i PATH=/usr/local/bin:/usr/bin:/bin "${environment[@]}" "${entry[$image]}" "${arguments[@]}"
}
# inside PID COMMAND...: as docker exec does it, in the root of the running process
inside() { nsenter --target "$1" --mount --pid --root --wd -- "${@:2}"; }
# The first process of a container: the child of unshare.
first_of() { pgrep -P "$1" | head -n 1; }
# healthy SERVICE ID [NAME=VALUE...]: by its own check, or else its image's
healthy() {
    local service=$1 id=$2 image=${image_of[$1]} pid command
    mapfile -t command <<<"$(compose_list "$service" healthcheck test | sed 1d)"
    [ "${command[0]}" ] || command=("${health[$image]}")
    for _ in {1..600}; do
        alive "$id" || break
        pid=$(first_of "$id")
        if [ -n "$pid" ] && inside "$pid" runuser -u "${user[$image]}" -- env "${@:3}" "${command[@]}" >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.1
    done
    tail -n 20 "$work/$service.log"
    return 1
}
# ended ID SIGNAL: sends it to the first process, and leaves the exit code in $status
ended() {
    status=0
    kill "-$2" "$(first_of "$1")"
    wait "$1" || status=$?
    unset "pids[$1]"
}

# mounts_of SERVICE: what gives it the volumes of compose.yml, those secrets that it names there, and memory.
# DATA and SOCKET are what a container leaves.
secrets=$work/secrets
mounts_of() {
    local folder
    folder=$(mktemp -d "$work/secrets.XXXXXX")
    chmod 711 "$folder"
    (cd "$secrets" && compose_list "$1" secrets | xargs -I{} cp -p {} "$folder/")
    # shellcheck disable=SC2016
    printf '
        mkdir -p "$layers/data" "$layers/socket"
        mount -t tmpfs tmpfs run
        mkdir -p run/secrets run/postgresql run/clinicq
        mount --bind %q run/secrets
        mount --bind "$layers/socket" run/postgresql
        mount -t tmpfs -o mode=1777 tmpfs tmp
    ' "$folder"
    # shellcheck disable=SC2016
    if [ "$1" = database ]; then
        say 'mount --bind "$layers/data" var/lib/clinicq; chroot . chown postgres:postgres /var/lib/clinicq /run/postgresql'
    else
        say 'chroot . chown clinicq:clinicq /run/clinicq'
    fi
}
start_database() {
    (start database) >"$work/database.log" 2>&1 &
    database=$!
    pids[database]=$database
}

images() {
    debian_base=$("$CLINICQ_TOP/tests/lib/debian13" base) && debian_suite=$("$CLINICQ_TOP/tests/lib/debian13" suite) || return 1
    copy_checkout "$work/context"
    mkdir -p "$layers"
    build_images >"$work/build.log" 2>&1 || return 1
}
built=no
! images || built=yes
check_is "docker/Dockerfile, line by line, makes its images" "$built" yes
if [ "$built" = no ]; then
    tail -n 20 "$work/build.log"
    return 0
fi

for image in database shim proxy; do
    check "the image of the $image runs as somebody else than root" test "${user[$image]:-root}" != root
    check "its compiler stayed in the build stage ($image)" test ! -e "$layers/$image/usr/bin/gcc"
    check "the image of the $image has a health check" test -x "$layers/$image${health[$image]}"
done
for service in database network shim deliver proxy; do
    image_of[$service]=$(compose "$service" image | tr -d '"' | sed 's/^clinicq-//')
    check "compose.yml: $service is read-only" test "$(compose $service read_only)" = true
    check "compose.yml: $service has no capability" test "$(compose $service cap_drop)" = '["ALL"]'
    check "compose.yml: $service can gain no rights" test "$(compose $service security_opt)" = '["no-new-privileges:true"]'
done
check_is "compose.yml: the database has no network" "$(compose database network_mode)" '"none"'
check_is "compose.yml: shim and proxy share a network that is of neither" "$(compose shim network_mode) $(compose proxy network_mode)" '"service:network" "service:network"'
check_is "compose.yml: the deliverer has a network of its own" "$(compose deliver network_mode)$(compose deliver networks)" nullnull
check_is "compose.yml: only TLS and its forwarding are published" "$(for service in network database shim deliver proxy; do compose $service ports; done | tr '\n' ' ')" '["80:80", "443:443"] null null null null '
environment_has_secret() { { compose shim environment && compose deliver environment; } | grep -qiE 'password|token|secret|drive'; }
check "compose.yml: no secret is in the environment of shim and deliverer" eval '! environment_has_secret'
check_is "compose.yml: the shim has its password, and what it needs to believe Twilio" "$(compose shim secrets)" '["shim_password", "twilio_token"]'
check_is "compose.yml: of passwords the deliverer has its own" "$(compose_list deliver secrets | grep _password | tr '\n' ' ')" "deliver_password smtp_password "

"$CLINICQ_TOP/docker/image/secrets" "$secrets" >/dev/null
check_is "secrets: the folder is closed" "$(stat -c %a "$secrets")" 700
sum=$(cat "$secrets"/*_password | sha256sum)
"$CLINICQ_TOP/docker/image/secrets" "$secrets" >/dev/null
check_is "secrets: what is there stays" "$(cat "$secrets"/*_password | sha256sum)" "$sum"
(umask 077 && cp "$site/tls.crt" "$site/tls.key" "$secrets/")
check_is "secrets: nothing is missing now" "$("$CLINICQ_TOP/docker/image/secrets" "$secrets")" ''
check_is "secrets: they are those of compose.yml" "$(ls "$secrets")" "$(python3 -c 'import sys, yaml
print("\n".join(sorted(yaml.safe_load(open(sys.argv[1]))["secrets"])))' "$CLINICQ_TOP/docker/compose.yml")"
# A folder of secrets is mounted here where Docker mounts each file.

mv "$secrets/shim_password" "$work/kept"
start_database
database_status=0
wait "$database" || database_status=$?
unset 'pids[database]'
check "without the secret the database does not start, and says which" \
    grep -q 'no password in /run/secrets/shim_password' "$work/database.log"
check "... with an exit code" test "$database_status" != 0
mv "$work/kept" "$secrets/shim_password"

start_database
check "the database comes up: created, migrated, healthy" healthy database "$database"
pid=$(first_of "$database")
check_is "it is process 1 of its container, not root" "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status") $(stat -c %u "/proc/$pid")" "1 $(awk -F: '$1 == "postgres" { print $3 }' "$layers/database/etc/passwd")"
check_is "nobody can write to its root" "$(inside "$pid" touch /opt/x 2>&1 | grep -c 'Read-only')" 1
check_is "it listens on no network" "$(inside "$pid" runuser -u postgres -- psql -h /run/postgresql -U postgres -At -d clinicq -c 'SHOW listen_addresses')" ''
administrator=$layers/data/admin-password
check_is "the first administrator's password is in a file for its owner" "$(stat -c %a "$administrator")" 600
password=$(cat "$administrator")
check "the log tells of it without the password" eval 'grep -q "administrator head" "$work/database.log" && ! grep -qF "$password" "$work/database.log"'
cat "$secrets"/*_password >"$work/passwords"
check "the log holds no secret" eval '! grep -qFf "$work/passwords" "$work/database.log"'

export CLINICQ_PORT CLINICQ_METRICS_PORT
CLINICQ_PORT=$(free_port)
CLINICQ_METRICS_PORT=$(free_port)
start_shim() {
    (start shim CLINICQ_PORT="$CLINICQ_PORT" CLINICQ_METRICS_PORT="$CLINICQ_METRICS_PORT") >"$work/shim.log" 2>&1 &
    shim=$!
    pids[shim]=$shim
}
check "compose.yml: it is production" grep -qx CLINICQ_ENV=production <(compose_environment shim)
checked=$(start shim -- check 2>&1)
check_is "clinicq-shim check passes on its settings" $? 0
check_is "... with every row" "$(sed 1d <<<"$checked" | grep -cv ' ok  *-$')" 0
check "... the database's as well" grep -q '^database login owns nothing  *ok ' <<<"$checked"

start_shim
check "the shim comes up, ready" healthy shim "$shim" "CLINICQ_METRICS_PORT=$CLINICQ_METRICS_PORT"
pid=$(first_of "$shim")
check_is "it is process 1 of its container, user 10001" "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status") $(stat -c %u "/proc/$pid")" "1 10001"
check_is "nobody can write to its root either" "$(inside "$pid" touch /opt/x 2>&1 | grep -c 'Read-only')" 1
log_in() { curl -s -o "$work/answer" -w '%{http_code}' -H 'Host: clinic.example' "http://127.0.0.1:$CLINICQ_PORT/api/auth/login/" -d username=head -d password="$1"; }
check_is "a name that is not the clinic's is refused" "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$CLINICQ_PORT/api/health/")" 400
check_is "a wrong password is refused" "$(log_in 'not the password')" 400
check_is "the first administrator logs in" "$(log_in "$password")" 200

# A webhook, by a secret that is put where README.md says.
far_up webhook
webhook_secret=whsec_$(head -c 32 /dev/urandom | base64 -w 0)
say "$webhook_secret" >"${FAR[webhook]}/secret"
in_database() { inside "$(first_of "$database")" runuser -u postgres -- "$1" -h /run/postgresql -U postgres "${@:2}"; }
as_dba() { in_database psql -X -q -A -t -v ON_ERROR_STOP=1 -d clinicq -c 'SET SESSION AUTHORIZATION clinicq_dba' -c "$1"; }
webhook=$(as_dba "SELECT clinicq.add_webhook('http://127.0.0.1:$port/in')")
chmod 600 "$secrets/webhook_secrets"
say "$webhook $webhook_secret" >"$secrets/webhook_secrets"
chmod 444 "$secrets/webhook_secrets"
checked=$(start deliver -- check 2>&1)
check_is "clinicq-shim check passes on the deliverer's settings" $? 0
check_is "... the webhook's too, and the other channels are off" "$(sed 1d <<<"$checked" | grep -v ' ok  *-$' | awk '{ print $2 }' | sort -u) $(awk '$1 == "webhook" { print $2 }' <<<"$checked")" "off ok"
deliver_port=$(free_port)
start_deliver() {
    (start deliver CLINICQ_METRICS_ADDRESS=127.0.0.1 CLINICQ_DELIVER_METRICS_PORT="$deliver_port") >"$work/deliver.log" 2>&1 &
    deliver=$!
    pids[deliver]=$deliver
}
start_deliver
check "the deliverer comes up, ready" healthy deliver "$deliver" "CLINICQ_DELIVER_METRICS_PORT=$deliver_port"
pid=$(first_of "$deliver")
check_is "it is process 1 of its container, user 10001" "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status") $(stat -c %u "/proc/$pid")" "1 10001"
check_is "nobody can write to its root" "$(inside "$pid" touch /opt/x 2>&1 | grep -c 'Read-only')" 1
check "it has the authorities that sign certificates" test -s "$layers/shim/etc/ssl/certs/ca-certificates.crt"
# delivered TYPE: a webhook of it reaches the far side
delivered() {
    as_dba "SELECT clinicq.enqueue_delivery('webhook', '{\"webhook\": $webhook, \"type\": \"$1\", \"data\": {}}')" >/dev/null || return 1
    for _ in {1..200}; do
        ! grep -qs "\"type\": \"$1\"" "${FAR[webhook]}/record" || return 0
        sleep 0.1
    done
    tail -n 5 "$work/deliver.log"
    return 1
}
check "it delivers a webhook, which the far side believes" delivered visit.start
say "${webhook_secret#whsec_}" >>"$work/passwords"
check "its log holds no secret" eval '! grep -qFf "$work/passwords" "$work/deliver.log"'
check "no password is on a command line or in an environment" eval '! cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\0" "\n" | grep -qFf "$work/passwords"'

# A kill -9 leaves the database's lock file; the next start must get over it, and makes nobody anew.
kill -KILL "$(first_of "$database")"
wait "$database" 2>/dev/null
start_database
check "after kill -9 the database comes up again" healthy database "$database"
check_is "the administrator's password is the same" "$(cat "$administrator")" "$password"
for _ in {1..100}; do [ "$(log_in "$password")" != 200 ] || break; sleep 0.1; done
check_is "... and still the one to log in with" "$(log_in "$password")" 200
check "the deliverer has found it again" healthy deliver "$deliver" "CLINICQ_DELIVER_METRICS_PORT=$deliver_port"
check "... and delivers" delivered visit.done
rm -f "$administrator"

ended "$deliver" TERM
check_is "the deliverer ends by itself" "$status" 0
far_down
ended "$shim" TERM
check_is "the shim ends by itself" "$status" 0
ended "$database" INT
check_is "the database ends by itself at its STOPSIGNAL" "$status" 0
start_database
check "it starts once more, with its administrator there" healthy database "$database"
check "no second password is made" test ! -e "$administrator"
start_shim
check "so does the shim" healthy shim "$shim" "CLINICQ_METRICS_PORT=$CLINICQ_METRICS_PORT"

# Ports that are free here, for those that containers have for themselves.
sed -i "/listen \[::\]/d; s/listen 443/listen 127.0.0.1:$https/; s/listen 80;/listen 127.0.0.1:$http;/; s/127.0.0.1:8080/127.0.0.1:$CLINICQ_PORT/" \
    "$layers/proxy/opt/clinicq/nginx/clinicq.conf"
(start proxy) >"$work/proxy.log" 2>&1 &
proxy=$!
pids[proxy]=$proxy
unset CLINICQ_PORT CLINICQ_METRICS_PORT
proxied() { curl -sk -m 5 -o /dev/null -w '%{http_code}' --resolve "clinic.example:$https:127.0.0.1" "https://clinic.example:$https$1" "${@:2}"; }
check "the proxy comes up" healthy proxy "$proxy" CLINICQ_NAME=clinic.example "CLINICQ_HTTP_PORT=$http"
for _ in {1..100}; do [ "$(proxied /api/health/)" != 200 ] || break; sleep 0.1; done
check_is "all three serve the clinic's name" "$(proxied /api/health/)" 200
check_is "the first administrator logs in over TLS" "$(proxied /api/auth/login/ -d username=head -d password="$password")" 200
check "a backup" eval 'in_database pg_dump -Fc clinicq >"$work/clinicq.dump"'
restored() {
    in_database dropdb --force clinicq && in_database pg_restore -C -d postgres <"$work/clinicq.dump"
}
check "restored" restored
ended "$database" INT
start_database
check "... and started again, which migrates" healthy database "$database"
for _ in {1..100}; do [ "$(proxied /api/health/)" != 200 ] || break; sleep 0.1; done
check_is "... it serves as before" "$(proxied /api/auth/login/ -d username=head -d password="$password")" 200
ended "$shim" TERM
check_is "without the shim the proxy says 503" "$(proxied /api/health/)" 503
ended "$proxy" QUIT
check_is "the proxy ends by itself" "$status" 0
ended "$database" INT
