# shellcheck shell=bash
# The rules are understood, fire when they should, and ask only for what /metrics of shim and deliverer really have.
# shellcheck disable=SC2154,SC2034
alerts=$CLINICQ_TOP/docker/prometheus/alerts.yml

check "promtool check rules" promtool check rules "$alerts"
cp "$alerts" "$CLINICQ_TOP/tests/deploy/alerts_test.yml" "$work/"
check "promtool test rules: each alert fires, and only then" promtool test rules "$work/alerts_test.yml"

curl -fsS "$CLINICQ_URL/api/health/" >/dev/null
# One delivery that has no secret to be signed with, and one that was given up.
clinicq_deliver_up || check "a deliverer starts" false
unsigned=$(owner -c "SELECT clinicq.add_webhook('http://127.0.0.1:1/')")
for _ in 1 2; do enqueue webhook "{\"webhook\": $unsigned, \"type\": \"visit.start\", \"data\": {}}" >/dev/null; done
owner -c "UPDATE clinicq.outbox SET state = 'dead', ended_at = now() WHERE id = (SELECT max(id) FROM clinicq.outbox)"
# The shim asks for the gauges of the database four times a minute.
for _ in {1..250}; do
    curl -fsS "$CLINICQ_METRICS_URL/metrics" >"$work/metrics"
    ! grep -q '^clinicq_outbox_deliveries{.*"dead"' "$work/metrics" || break
    sleep 0.1
done
check "promtool check metrics has nothing to say about /metrics" promtool check metrics <"$work/metrics"
curl -fsS "$CLINICQ_DELIVER_METRICS_URL/metrics" >"$work/deliver-metrics"
check "nor about the deliverer's" promtool check metrics <"$work/deliver-metrics"
cat "$work/deliver-metrics" >>"$work/metrics"
clinicq_deliver_down

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
check "every metric of a rule is one that shim or deliverer has" names_exist
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
    'clinicq_http_request_duration_seconds_bucket{class="write",le="1"}' 'clinicq_outbox_deliveries{channel="webhook",state="dead"} 1$' \
    'clinicq_outbox_oldest_seconds{channel="webhook",state="failed"}' 'clinicq_deliver_paused{channel="email"}'; do
    check "/metrics has $series" labels_exist "$series"
done
check_is "the ports of its head are those of shim and deliverer" "$(sed -n 's/^#.*targets: \["127.0.0.1:\([0-9]*\)"\].*/\1/p' "$alerts" | tr '\n' ' ')" \
    "$(sed -n 's/^CLINICQ_\(DELIVER_\)\?METRICS_PORT=//p' "$CLINICQ_TOP/shim/.env.example" | tr '\n' ' ')"
