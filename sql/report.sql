-- Reports. The views stand in always/reports.sql.
CREATE FUNCTION clinicq.summarise_days(days integer DEFAULT 7) RETURNS integer
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_summarise_days';
COMMENT ON FUNCTION clinicq.summarise_days(integer) IS
    'Adds up past days for the reports, about that many: new ones, the earliest first, and those of which a visit has changed since. A day is ripe three days after it. '
    'Returns how many days are left; 0 as well where other sessions hold them. The keeper does it each minute; reports are right without, but slower. '
    'Errors: 22023 days below 1. Who: admin, reporter.';

CREATE FUNCTION clinicq.resummarise_days(first date, last date) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_resummarise_days';
COMMENT ON FUNCTION clinicq.resummarise_days(date, date) IS
    'Marks the days of a period to be added up again, as after a change of the site''s time zone or of rows with triggers off. Returns how many. '
    'Errors: 22004 a day is null. Who: admin.';

CREATE FUNCTION clinicq.mark_stale_day() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_mark_stale_day';
COMMENT ON FUNCTION clinicq.mark_stale_day() IS
    'Trigger: marks the day of a past visit that changes, so that reports count it anew. Errors: 39P01 not called as an AFTER ROW trigger.';

CREATE FUNCTION clinicq_report.guard() RETURNS boolean
LANGUAGE C STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_report_guard';
COMMENT ON FUNCTION clinicq_report.guard() IS
    'What every view of reports asks once a query. Where the session has no statement_timeout or idle_in_transaction_session_timeout, the setting report_timeout_seconds holds for both until the transaction ends, '
    'so that a forgotten report does not hold back vacuum. Returns true. Errors: 42501; 55000 before migrate(). Who: admin, reporter.';

CREATE FUNCTION clinicq_report.add_durations(internal, integer[], double precision[]) RETURNS internal
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'clinicq_report_add_durations';
COMMENT ON FUNCTION clinicq_report.add_durations(internal, integer[], double precision[]) IS
    'A step of clinicq_report.percentiles(). Errors: 22023 fractions. Who: the aggregate.';

CREATE FUNCTION clinicq_report.read_percentiles(internal) RETURNS double precision[]
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'clinicq_report_read_percentiles';
COMMENT ON FUNCTION clinicq_report.read_percentiles(internal) IS
    'The end of clinicq_report.percentiles(). Who: the aggregate.';

CREATE AGGREGATE clinicq_report.percentiles(seconds integer[], fractions double precision[]) (
    SFUNC = clinicq_report.add_durations, STYPE = internal, FINALFUNC = clinicq_report.read_percentiles);
COMMENT ON AGGREGATE clinicq_report.percentiles(integer[], double precision[]) IS
    'The percentiles of all elements of all arrays, as percentile_cont() gives them, for each of the fractions (0 to 1, those of the first row); NULL where there is no element. Up to 25 million elements. '
    'Exact over any period: SELECT clinicq_report.percentiles(first_waits, ARRAY[0.5, 0.9]) FROM clinicq_report.durations WHERE ...';

CREATE FUNCTION clinicq_report.board_at(queue bigint, at timestamptz DEFAULT NULL)
RETURNS TABLE (visit_id bigint, token text, token_number integer, status text, room text, since timestamptz)
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_report_board_at';
COMMENT ON FUNCTION clinicq_report.board_at(bigint, timestamptz) IS
    'The board of a queue as it was at a moment (NULL: now), from the moves recorded: the open visits of the service day that the moment belongs to, by token; since: when the visit came into that status. '
    'Errors: 22004 queue is null; P0002 no such queue. Who: admin, reporter.';

CREATE FUNCTION clinicq_report.reports()
RETURNS TABLE (name text, period text, by_queue boolean, summary text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    VALUES
        ('visits_per_day', 'day', true, 'Visits a day and queue, by what became of them.'),
        ('waiting_time', 'day', true, 'Seconds until the first call, and until later calls: median, p90, p95.'),
        ('waiting_time_per_month', 'month', true, 'The same by months.'),
        ('service_time', 'day', true, 'Seconds in the room until the visit was finished: median, p90, p95.'),
        ('service_time_per_month', 'month', true, 'The same by months.'),
        ('no_shows', 'day', true, 'Patients who were called and did not come, and who came after all.'),
        ('load_by_hour', 'day', true, 'Visits opened, calls and visits finished by weekday and hour.'),
        ('doctor_work', 'day', true, 'Who called and finished how many visits, and the time in the room.'),
        ('registrations_per_month', 'month', false, 'Patients registered a month.'),
        ('open_visits', 'now', true, 'Visits that are open now.'),
        ('board', 'moment', true, 'The board of a queue at a moment (at; now where it is left out).')
$$;
COMMENT ON FUNCTION clinicq_report.reports() IS
    'The one list of reports over HTTP. period: day or month (from and to), now (neither), moment (at); name: the view of clinicq_report, but for board, which is board_at(). Who: admin, reporter.';

GRANT EXECUTE ON FUNCTION clinicq_report.guard, clinicq_report.board_at, clinicq_report.reports TO clinicq_admin, clinicq_reporter;
GRANT EXECUTE ON FUNCTION clinicq_report.percentiles(integer[], double precision[]) TO clinicq_admin, clinicq_reporter;
