# shellcheck shell=bash
# Tests written as shell commands. Prints TAP and, by `tap_done SUITE`, the line for tests/run.
tap_passed=0
tap_failed=0

# check "what has to hold" COMMAND [ARGUMENT...]: the command succeeds. It runs in a
# subshell, and its output shows on failure.
check() {
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        tap_passed=$((tap_passed + 1))
        printf 'ok %d - %s\n' $((tap_passed + tap_failed)) "$what"
    else
        tap_failed=$((tap_failed + 1))
        printf 'not ok %d - %s\n' $((tap_passed + tap_failed)) "$what"
        tail -n 40 <<<"$output" | sed 's/^/# /'
    fi
}

# check_is "what it is" ACTUAL EXPECTED
check_is() {
    # shellcheck disable=SC2317
    tap_equal() {
        [ "$1" = "$2" ] || {
            printf '     got: %s\nexpected: %s\n' "$1" "$2"
            return 1
        }
    }
    check "$1" tap_equal "$2" "$3"
}

# tap_of < TAP: what another program checked counts as this suite's.
tap_of() {
    local line
    while IFS= read -r line; do
        case $line in
        'ok '*) tap_passed=$((tap_passed + 1)) ;;
        'not ok '*) tap_failed=$((tap_failed + 1)) ;;
        '#'*) ;;
        *) continue ;;
        esac
        printf '%s\n' "$line"
    done
}

tap_done() {
    printf '1..%d\n' $((tap_passed + tap_failed))
    printf '%s: %d passed, %d failed\n' "$1" "$tap_passed" "$tap_failed"
    [ "$tap_failed" = 0 ]
}
