# shellcheck shell=bash
# The rules are understood, fire when they should, and ask only for what /metrics really has.
# shellcheck disable=SC2154,SC2034
alerts=$CLINICQ_TOP/docker/prometheus/alerts.yml

check "promtool check rules" promtool check rules "$alerts"
cp "$alerts" "$CLINICQ_TOP/tests/deploy/alerts_test.yml" "$work/"
check "promtool test rules: each alert fires, and only then" promtool test rules "$work/alerts_test.yml"

curl -fsS "$CLINICQ_URL/api/health/" >/dev/null
curl -fsS "$CLINICQ_METRICS_URL/metrics" >"$work/metrics"
check "promtool check metrics has nothing to say about /metrics" promtool check metrics <"$work/metrics"

names_exist() {
    local name missing=0
    while read -r name; do
        grep -q "^${name}[{ ]" "$work/metrics" || {
            say "/metrics has no $name"
            missing=1
        }
    done < <(sed 's/#.*//' "$alerts" | grep -o 'clinicq_[a-z_]*' | sort -u)
    return "$missing"
}
check "every metric of a rule is one that the shim has" names_exist
every_alert_is_tested() {
    local name missing=0
    while read -r name; do
        [ "$(grep -A 2 "alertname: $name$" "$work/alerts_test.yml" | grep -c exp_alerts)" -gt 0 ] || {
            say "no test fires $name"
            missing=1
        }
    done < <(sed -n 's/^ *- alert: //p' "$alerts")
    return "$missing"
}
check "a test fires every alert" every_alert_is_tested
labels_exist() { grep -q "^$1" "$work/metrics"; }
for series in 'clinicq_http_requests_total{route=.*status="200"' 'clinicq_pool_queued{pool="write"}' \
    'clinicq_http_request_duration_seconds_bucket{class="write",le="1"}'; do
    check "/metrics has $series" labels_exist "$series"
done
