-- Reports by direct SQL. Only those that ask guard() are for reporters; the others are their parts,
-- granted to nobody. The base of all: the moves of each visit, each with what went before it. By
-- LATERAL, so that the moves of some days are found by index, whatever the planner reckons.
CREATE OR REPLACE VIEW clinicq_report.move AS
    SELECT v.service_day, v.queue_id, v.id AS visit_id, v.status, v.closed_by_system,
        m.move, m.at, m.actor_name, coalesce(m.place, 1) AS place, m.calls, m.previous,
        least(greatest(round(date_part('epoch', m.at - CASE WHEN m.move = 'start' AND m.calls = 1
            THEN v.created_at ELSE m.previous_at END)), 0), 2147483647)::integer AS seconds
    FROM clinicq.visit v LEFT JOIN LATERAL (
        SELECT e.move, e.at, e.actor_name, row_number() OVER w AS place,
            count(*) FILTER (WHERE e.move = 'start') OVER w AS calls,
            lag(e.move) OVER w AS previous, lag(e.at) OVER w AS previous_at
        FROM clinicq.visit_event e WHERE e.visit_id = v.id AND e.move <> 'priority'
        WINDOW w AS (ORDER BY e.id)
    ) m ON true;
COMMENT ON VIEW clinicq_report.move IS 'Every move of every visit, and how long the status before it lasted; a part of other views.';

CREATE OR REPLACE VIEW clinicq_report.live_visit_summary AS
    SELECT m.service_day, m.queue_id,
        (count(*) FILTER (WHERE m.place = 1))::integer AS visits,
        (count(*) FILTER (WHERE m.place = 1 AND m.status = 'WAITING'))::integer AS waiting,
        (count(*) FILTER (WHERE m.place = 1 AND m.status = 'START'))::integer AS started,
        (count(*) FILTER (WHERE m.place = 1 AND m.status = 'IN_ROOM'))::integer AS in_room,
        (count(*) FILTER (WHERE m.place = 1 AND m.status = 'HELD'))::integer AS held,
        (count(*) FILTER (WHERE m.place = 1 AND m.status = 'DONE'))::integer AS done,
        (count(*) FILTER (WHERE m.place = 1 AND m.status = 'NO_SHOW'))::integer AS no_show,
        (count(*) FILTER (WHERE m.place = 1 AND m.status = 'CANCELLED'))::integer AS cancelled,
        (count(*) FILTER (WHERE m.place = 1 AND m.status = 'TRANSFERRED'))::integer AS transferred,
        (count(*) FILTER (WHERE m.place = 1 AND m.closed_by_system))::integer AS closed_by_system,
        (count(*) FILTER (WHERE m.place = 1 AND m.closed_by_system AND m.status = 'NO_SHOW'))::integer AS never_called,
        (count(DISTINCT m.visit_id) FILTER (WHERE m.move = 'recall'))::integer AS recalled,
        coalesce(array_agg(m.seconds ORDER BY m.seconds) FILTER
            (WHERE m.move = 'start' AND m.calls = 1 AND NOT m.closed_by_system), '{}') AS first_waits,
        coalesce(array_agg(m.seconds ORDER BY m.seconds) FILTER
            (WHERE m.move = 'start' AND m.calls > 1 AND NOT m.closed_by_system), '{}') AS later_waits,
        coalesce(array_agg(m.seconds ORDER BY m.seconds) FILTER
            (WHERE m.move = 'done' AND m.previous = 'in_room' AND NOT m.closed_by_system), '{}') AS services
    FROM clinicq_report.move m GROUP BY m.service_day, m.queue_id;
COMMENT ON VIEW clinicq_report.live_visit_summary IS 'What clinicq.visit_summary holds, counted now; a part of other views.';

CREATE OR REPLACE VIEW clinicq_report.live_hour_summary AS
    SELECT m.service_day, m.queue_id,
        date_part('hour', m.at AT TIME ZONE c.timezone)::smallint AS hour,
        (count(*) FILTER (WHERE m.move = 'open'))::integer AS opened,
        (count(*) FILTER (WHERE m.move = 'start'))::integer AS called,
        (count(*) FILTER (WHERE m.move = 'done'))::integer AS finished
    FROM clinicq_report.move m
    JOIN clinicq.queue q ON q.id = m.queue_id JOIN clinicq.clinic c ON c.id = q.clinic_id
    WHERE m.move IN ('open', 'start', 'done') GROUP BY 1, 2, 3;
COMMENT ON VIEW clinicq_report.live_hour_summary IS 'What clinicq.hour_summary holds, counted now; a part of other views.';

CREATE OR REPLACE VIEW clinicq_report.live_staff_summary AS
    SELECT m.service_day, m.queue_id, m.actor_name AS user_name,
        (count(*) FILTER (WHERE m.move = 'start'))::integer AS called,
        (count(*) FILTER (WHERE m.move = 'done'))::integer AS finished,
        coalesce(sum(m.seconds) FILTER (WHERE m.move <> 'start' AND m.previous = 'in_room'), 0) AS room_seconds
    FROM clinicq_report.move m
    WHERE m.move IN ('start', 'done') OR m.move = 'send_back' AND m.previous = 'in_room' GROUP BY 1, 2, 3;
COMMENT ON VIEW clinicq_report.live_staff_summary IS 'What clinicq.staff_summary holds, counted now; a part of other views.';

-- As an array, so that the planner reckons with few days and reads their visits by index.
CREATE OR REPLACE VIEW clinicq_report.live_day AS
    SELECT f.day + n AS service_day
    FROM (SELECT coalesce((SELECT s.through FROM clinicq.summary_state s),
            (SELECT min(v.service_day) FROM clinicq.visit v) - 1) AS day) f,
        generate_series(1, (now() AT TIME ZONE 'UTC')::date + 1 - f.day) n
    UNION SELECT d.service_day FROM clinicq.stale_day d;
COMMENT ON VIEW clinicq_report.live_day IS 'The days that are not summarised, and those that have changed since; a part of other views.';

CREATE OR REPLACE VIEW clinicq_report.every_visit_summary AS
    SELECT s.* FROM clinicq.visit_summary s
    WHERE s.service_day <> ALL (ARRAY(SELECT d.service_day FROM clinicq.stale_day d))
    UNION ALL
    SELECT l.* FROM clinicq_report.live_visit_summary l
    WHERE l.service_day = ANY (ARRAY(SELECT d.service_day FROM clinicq_report.live_day d));
COMMENT ON VIEW clinicq_report.every_visit_summary IS 'Summaries of all days; a part of other views.';

CREATE OR REPLACE VIEW clinicq_report.every_hour_summary AS
    SELECT s.* FROM clinicq.hour_summary s
    WHERE s.service_day <> ALL (ARRAY(SELECT d.service_day FROM clinicq.stale_day d))
    UNION ALL
    SELECT l.* FROM clinicq_report.live_hour_summary l
    WHERE l.service_day = ANY (ARRAY(SELECT d.service_day FROM clinicq_report.live_day d));
COMMENT ON VIEW clinicq_report.every_hour_summary IS 'Summaries of all days by hours; a part of other views.';

CREATE OR REPLACE VIEW clinicq_report.every_staff_summary AS
    SELECT s.* FROM clinicq.staff_summary s
    WHERE s.service_day <> ALL (ARRAY(SELECT d.service_day FROM clinicq.stale_day d))
    UNION ALL
    SELECT l.* FROM clinicq_report.live_staff_summary l
    WHERE l.service_day = ANY (ARRAY(SELECT d.service_day FROM clinicq_report.live_day d));
COMMENT ON VIEW clinicq_report.every_staff_summary IS 'Summaries of all days by users; a part of other views.';

-- What reporters read.
CREATE OR REPLACE VIEW clinicq_report.visits_per_day AS
    SELECT s.service_day AS day, s.queue_id, q.name AS queue, s.visits, s.waiting, s.started, s.in_room, s.held,
        s.done, s.no_show, s.cancelled, s.transferred, s.closed_by_system
    FROM clinicq_report.every_visit_summary s JOIN clinicq.queue q ON q.id = s.queue_id
    WHERE (SELECT clinicq_report.guard());
COMMENT ON VIEW clinicq_report.visits_per_day IS 'Visits a day and queue, by what became of them. Days are service days of the site. A transfer is a visit in either queue.';
COMMENT ON COLUMN clinicq_report.visits_per_day.day IS 'Service day.';
COMMENT ON COLUMN clinicq_report.visits_per_day.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.visits_per_day.queue IS 'Its name now.';
COMMENT ON COLUMN clinicq_report.visits_per_day.visits IS 'Visits: tokens given. The sum of the eight that follow.';
COMMENT ON COLUMN clinicq_report.visits_per_day.waiting IS 'Waiting still.';
COMMENT ON COLUMN clinicq_report.visits_per_day.started IS 'Called (START), not in the room yet.';
COMMENT ON COLUMN clinicq_report.visits_per_day.in_room IS 'In the room still.';
COMMENT ON COLUMN clinicq_report.visits_per_day.held IS 'Put on hold still.';
COMMENT ON COLUMN clinicq_report.visits_per_day.done IS 'Seen.';
COMMENT ON COLUMN clinicq_report.visits_per_day.no_show IS 'Called and not come, or never called until the day ended.';
COMMENT ON COLUMN clinicq_report.visits_per_day.cancelled IS 'Cancelled.';
COMMENT ON COLUMN clinicq_report.visits_per_day.transferred IS 'Gone on in another queue, where they count again.';
COMMENT ON COLUMN clinicq_report.visits_per_day.closed_by_system IS 'Of done and no_show: left open, and closed by the system when the next day began.';

CREATE OR REPLACE VIEW clinicq_report.durations AS
    SELECT s.service_day AS day, s.queue_id, q.name AS queue, s.first_waits, s.later_waits, s.services
    FROM clinicq_report.every_visit_summary s JOIN clinicq.queue q ON q.id = s.queue_id
    WHERE (SELECT clinicq_report.guard());
COMMENT ON VIEW clinicq_report.durations IS 'Every duration of a day and queue in seconds, for clinicq_report.percentiles() over any period and any queues. Visits that the system closed are left out.';
COMMENT ON COLUMN clinicq_report.durations.day IS 'Service day.';
COMMENT ON COLUMN clinicq_report.durations.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.durations.queue IS 'Its name now.';
COMMENT ON COLUMN clinicq_report.durations.first_waits IS 'From the opening of each visit, in this queue, to its first call.';
COMMENT ON COLUMN clinicq_report.durations.later_waits IS 'From the return to the queue (recalled, sent back, resumed) to each later call.';
COMMENT ON COLUMN clinicq_report.durations.services IS 'From the last IN_ROOM to DONE.';

CREATE OR REPLACE VIEW clinicq_report.waiting_time AS
    SELECT w.day, w.queue_id, w.queue, w.calls, round(w.first[1]::numeric, 1) AS median, round(w.first[2]::numeric, 1) AS p90, round(w.first[3]::numeric, 1) AS p95,
        w.later_calls, round(w.later[1]::numeric, 1) AS later_median, round(w.later[2]::numeric, 1) AS later_p90, round(w.later[3]::numeric, 1) AS later_p95
    FROM (SELECT d.day, d.queue_id, d.queue,
            sum(cardinality(d.first_waits)) AS calls, clinicq_report.percentiles(d.first_waits, ARRAY[0.5, 0.9, 0.95]) AS first,
            sum(cardinality(d.later_waits)) AS later_calls, clinicq_report.percentiles(d.later_waits, ARRAY[0.5, 0.9, 0.95]) AS later
          FROM clinicq_report.durations d GROUP BY d.day, d.queue_id, d.queue) w;
COMMENT ON VIEW clinicq_report.waiting_time IS 'Seconds that patients waited, a day and queue. The first call of a visit counts, from its opening in this queue; later calls stand apart. Visits that the system closed are left out; so are those never called.';
COMMENT ON COLUMN clinicq_report.waiting_time.day IS 'Service day.';
COMMENT ON COLUMN clinicq_report.waiting_time.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.waiting_time.queue IS 'Its name now.';
COMMENT ON COLUMN clinicq_report.waiting_time.calls IS 'Visits called.';
COMMENT ON COLUMN clinicq_report.waiting_time.median IS 'Seconds that half of them waited at the most; NULL where there was none.';
COMMENT ON COLUMN clinicq_report.waiting_time.p90 IS 'Nine of ten.';
COMMENT ON COLUMN clinicq_report.waiting_time.p95 IS '19 of 20.';
COMMENT ON COLUMN clinicq_report.waiting_time.later_calls IS 'Calls after the first: of patients recalled after a no-show, sent back, or resumed.';
COMMENT ON COLUMN clinicq_report.waiting_time.later_median IS 'Seconds from the return to the queue to such a call.';
COMMENT ON COLUMN clinicq_report.waiting_time.later_p90 IS 'Nine of ten.';
COMMENT ON COLUMN clinicq_report.waiting_time.later_p95 IS '19 of 20.';

CREATE OR REPLACE VIEW clinicq_report.waiting_time_per_month AS
    SELECT w.month, w.queue_id, w.queue, w.calls, round(w.first[1]::numeric, 1) AS median, round(w.first[2]::numeric, 1) AS p90, round(w.first[3]::numeric, 1) AS p95,
        w.later_calls, round(w.later[1]::numeric, 1) AS later_median, round(w.later[2]::numeric, 1) AS later_p90, round(w.later[3]::numeric, 1) AS later_p95
    FROM (SELECT (date_trunc('month', d.day::timestamp))::date AS month, d.queue_id, d.queue,
            sum(cardinality(d.first_waits)) AS calls, clinicq_report.percentiles(d.first_waits, ARRAY[0.5, 0.9, 0.95]) AS first,
            sum(cardinality(d.later_waits)) AS later_calls, clinicq_report.percentiles(d.later_waits, ARRAY[0.5, 0.9, 0.95]) AS later
          FROM clinicq_report.durations d GROUP BY 1, d.queue_id, d.queue) w;
COMMENT ON VIEW clinicq_report.waiting_time_per_month IS 'waiting_time by months: exact percentiles over all visits of the month, not of its days.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.month IS 'First day of the month.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.queue IS 'Its name now.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.calls IS 'Visits called.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.median IS 'Seconds that half of them waited at the most; NULL where there was none.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.p90 IS 'Nine of ten.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.p95 IS '19 of 20.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.later_calls IS 'Calls after the first.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.later_median IS 'Seconds from the return to the queue to such a call.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.later_p90 IS 'Nine of ten.';
COMMENT ON COLUMN clinicq_report.waiting_time_per_month.later_p95 IS '19 of 20.';

CREATE OR REPLACE VIEW clinicq_report.service_time AS
    SELECT s.day, s.queue_id, s.queue, s.visits, round(s.seconds[1]::numeric, 1) AS median, round(s.seconds[2]::numeric, 1) AS p90, round(s.seconds[3]::numeric, 1) AS p95
    FROM (SELECT d.day, d.queue_id, d.queue, sum(cardinality(d.services)) AS visits,
            clinicq_report.percentiles(d.services, ARRAY[0.5, 0.9, 0.95]) AS seconds
          FROM clinicq_report.durations d GROUP BY d.day, d.queue_id, d.queue) s;
COMMENT ON VIEW clinicq_report.service_time IS 'Seconds from the last IN_ROOM of a visit to its DONE, a day and queue. Visits that the system closed are left out.';
COMMENT ON COLUMN clinicq_report.service_time.day IS 'Service day.';
COMMENT ON COLUMN clinicq_report.service_time.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.service_time.queue IS 'Its name now.';
COMMENT ON COLUMN clinicq_report.service_time.visits IS 'Visits finished.';
COMMENT ON COLUMN clinicq_report.service_time.median IS 'Seconds that half of them took at the most; NULL where there was none.';
COMMENT ON COLUMN clinicq_report.service_time.p90 IS 'Nine of ten.';
COMMENT ON COLUMN clinicq_report.service_time.p95 IS '19 of 20.';

CREATE OR REPLACE VIEW clinicq_report.service_time_per_month AS
    SELECT s.month, s.queue_id, s.queue, s.visits, round(s.seconds[1]::numeric, 1) AS median, round(s.seconds[2]::numeric, 1) AS p90, round(s.seconds[3]::numeric, 1) AS p95
    FROM (SELECT (date_trunc('month', d.day::timestamp))::date AS month, d.queue_id, d.queue, sum(cardinality(d.services)) AS visits,
            clinicq_report.percentiles(d.services, ARRAY[0.5, 0.9, 0.95]) AS seconds
          FROM clinicq_report.durations d GROUP BY 1, d.queue_id, d.queue) s;
COMMENT ON VIEW clinicq_report.service_time_per_month IS 'service_time by months: exact percentiles over all visits of the month, not of its days.';
COMMENT ON COLUMN clinicq_report.service_time_per_month.month IS 'First day of the month.';
COMMENT ON COLUMN clinicq_report.service_time_per_month.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.service_time_per_month.queue IS 'Its name now.';
COMMENT ON COLUMN clinicq_report.service_time_per_month.visits IS 'Visits finished.';
COMMENT ON COLUMN clinicq_report.service_time_per_month.median IS 'Seconds that half of them took at the most; NULL where there was none.';
COMMENT ON COLUMN clinicq_report.service_time_per_month.p90 IS 'Nine of ten.';
COMMENT ON COLUMN clinicq_report.service_time_per_month.p95 IS '19 of 20.';

CREATE OR REPLACE VIEW clinicq_report.no_shows AS
    SELECT s.service_day AS day, s.queue_id, q.name AS queue, s.visits - s.cancelled - s.transferred AS expected,
        s.no_show - s.never_called AS no_show, s.never_called, s.recalled,
        round((s.no_show - s.never_called)::numeric / nullif(s.visits - s.cancelled - s.transferred, 0), 4) AS rate
    FROM clinicq_report.every_visit_summary s JOIN clinicq.queue q ON q.id = s.queue_id
    WHERE (SELECT clinicq_report.guard());
COMMENT ON VIEW clinicq_report.no_shows IS 'Patients who were called and did not come, a day and queue.';
COMMENT ON COLUMN clinicq_report.no_shows.day IS 'Service day.';
COMMENT ON COLUMN clinicq_report.no_shows.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.no_shows.queue IS 'Its name now.';
COMMENT ON COLUMN clinicq_report.no_shows.expected IS 'Visits neither cancelled nor transferred.';
COMMENT ON COLUMN clinicq_report.no_shows.no_show IS 'Called, not come, and not seen later: marked so by somebody.';
COMMENT ON COLUMN clinicq_report.no_shows.never_called IS 'Not counted there: waiting or on hold when the day ended, closed by the system.';
COMMENT ON COLUMN clinicq_report.no_shows.recalled IS 'Visits put back into the queue after a no-show, whatever became of them.';
COMMENT ON COLUMN clinicq_report.no_shows.rate IS 'no_show / expected, from 0 to 1; NULL where nobody was expected.';

CREATE OR REPLACE VIEW clinicq_report.load_by_hour AS
    SELECT s.service_day AS day, s.queue_id, s.hour, q.name AS queue,
        date_part('isodow', s.service_day)::integer AS weekday, s.opened, s.called, s.finished
    FROM clinicq_report.every_hour_summary s JOIN clinicq.queue q ON q.id = s.queue_id
    WHERE (SELECT clinicq_report.guard());
COMMENT ON VIEW clinicq_report.load_by_hour IS 'How much was going on, by day, queue and hour of the site''s clock; hours in which nothing was are left out. Where the clock is put back, an hour is counted twice as long.';
COMMENT ON COLUMN clinicq_report.load_by_hour.day IS 'Service day; where days begin later than midnight, the hours before that belong to the day before.';
COMMENT ON COLUMN clinicq_report.load_by_hour.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.load_by_hour.hour IS '0 to 23, in the time zone of the site.';
COMMENT ON COLUMN clinicq_report.load_by_hour.queue IS 'Its name now.';
COMMENT ON COLUMN clinicq_report.load_by_hour.weekday IS 'Of the service day: 1 is Monday, 7 Sunday.';
COMMENT ON COLUMN clinicq_report.load_by_hour.opened IS 'Visits opened.';
COMMENT ON COLUMN clinicq_report.load_by_hour.called IS 'Calls, repeated ones as well.';
COMMENT ON COLUMN clinicq_report.load_by_hour.finished IS 'Visits finished by somebody, not by the system.';

CREATE OR REPLACE VIEW clinicq_report.doctor_work AS
    SELECT s.service_day AS day, s.queue_id, s.user_name, q.name AS queue, s.called, s.finished, s.room_seconds,
        round(s.room_seconds::numeric / nullif(s.finished, 0)) AS seconds_a_visit
    FROM clinicq_report.every_staff_summary s JOIN clinicq.queue q ON q.id = s.queue_id
    WHERE (SELECT clinicq_report.guard());
COMMENT ON VIEW clinicq_report.doctor_work IS 'What doctors did, a day and queue. What the system closed is nobody''s work.';
COMMENT ON COLUMN clinicq_report.doctor_work.day IS 'Service day.';
COMMENT ON COLUMN clinicq_report.doctor_work.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.doctor_work.user_name IS 'User name of the one who did it; a database role where it was done in psql.';
COMMENT ON COLUMN clinicq_report.doctor_work.queue IS 'Name of the queue now.';
COMMENT ON COLUMN clinicq_report.doctor_work.called IS 'Calls, repeated ones as well.';
COMMENT ON COLUMN clinicq_report.doctor_work.finished IS 'Visits finished (DONE).';
COMMENT ON COLUMN clinicq_report.doctor_work.room_seconds IS 'Seconds that patients were in the room, until this user finished the visit or sent the patient back.';
COMMENT ON COLUMN clinicq_report.doctor_work.seconds_a_visit IS 'room_seconds / finished; NULL where none was finished.';

CREATE OR REPLACE VIEW clinicq_report.registrations_per_month AS
    SELECT (date_trunc('month', p.created_at AT TIME ZONE c.timezone))::date AS month,
        count(*) AS registered, count(p.removed_at) AS removed
    FROM clinicq.patient p, (SELECT f.timezone FROM clinicq.clinic f ORDER BY f.id LIMIT 1) c
    WHERE (SELECT clinicq_report.guard())
    GROUP BY 1;
COMMENT ON VIEW clinicq_report.registrations_per_month IS 'Patients registered a month, by the clock of the first site.';
COMMENT ON COLUMN clinicq_report.registrations_per_month.month IS 'First day of the month.';
COMMENT ON COLUMN clinicq_report.registrations_per_month.registered IS 'Patients registered.';
COMMENT ON COLUMN clinicq_report.registrations_per_month.removed IS 'Of them removed since.';

CREATE OR REPLACE VIEW clinicq_report.open_visits AS
    SELECT v.service_day AS day, v.queue_id, v.id AS visit_id, q.name AS queue, q.token_prefix || v.token_number AS token,
        v.status, v.priority, r.name AS room, v.created_at AS opened_at, v.updated_at AS changed_at,
        greatest(date_part('epoch', now() - v.created_at), 0)::bigint AS seconds
    FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id LEFT JOIN clinicq.room r ON r.id = v.room_id
    WHERE v.status IN ('WAITING', 'START', 'IN_ROOM', 'HELD') AND (SELECT clinicq_report.guard());
COMMENT ON VIEW clinicq_report.open_visits IS 'Visits that are open now, those left open by earlier days as well. Without patients: open_visits_named has them, and is granted to nobody.';
COMMENT ON COLUMN clinicq_report.open_visits.day IS 'Service day.';
COMMENT ON COLUMN clinicq_report.open_visits.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.open_visits.visit_id IS 'Key of the visit.';
COMMENT ON COLUMN clinicq_report.open_visits.queue IS 'Name of the queue.';
COMMENT ON COLUMN clinicq_report.open_visits.token IS 'Token with the prefix of the queue.';
COMMENT ON COLUMN clinicq_report.open_visits.status IS 'WAITING, START, IN_ROOM or HELD.';
COMMENT ON COLUMN clinicq_report.open_visits.priority IS 'Greater goes first; 0 is the ordinary patient.';
COMMENT ON COLUMN clinicq_report.open_visits.room IS 'The room that the patient was called to.';
COMMENT ON COLUMN clinicq_report.open_visits.opened_at IS 'When the token was given.';
COMMENT ON COLUMN clinicq_report.open_visits.changed_at IS 'When the visit last changed.';
COMMENT ON COLUMN clinicq_report.open_visits.seconds IS 'Seconds since opened_at.';

CREATE OR REPLACE VIEW clinicq_report.open_visits_named AS
    SELECT o.*, p.registration_number, CASE WHEN p.restricted THEN 'Restricted' ELSE p.name END AS patient,
        CASE WHEN NOT p.restricted THEN p.phone END AS phone
    FROM clinicq_report.open_visits o JOIN clinicq.visit v ON v.id = o.visit_id JOIN clinicq.patient p ON p.id = v.patient_id;
COMMENT ON VIEW clinicq_report.open_visits_named IS 'open_visits with patients, restricted ones masked. Granted to nobody; a clinic that wants it grants SELECT on it to one reporting login.';
COMMENT ON COLUMN clinicq_report.open_visits_named.day IS 'Service day.';
COMMENT ON COLUMN clinicq_report.open_visits_named.queue_id IS 'Queue.';
COMMENT ON COLUMN clinicq_report.open_visits_named.visit_id IS 'Key of the visit.';
COMMENT ON COLUMN clinicq_report.open_visits_named.queue IS 'Name of the queue.';
COMMENT ON COLUMN clinicq_report.open_visits_named.token IS 'Token with the prefix of the queue.';
COMMENT ON COLUMN clinicq_report.open_visits_named.status IS 'WAITING, START, IN_ROOM or HELD.';
COMMENT ON COLUMN clinicq_report.open_visits_named.priority IS 'Greater goes first; 0 is the ordinary patient.';
COMMENT ON COLUMN clinicq_report.open_visits_named.room IS 'The room that the patient was called to.';
COMMENT ON COLUMN clinicq_report.open_visits_named.opened_at IS 'When the token was given.';
COMMENT ON COLUMN clinicq_report.open_visits_named.changed_at IS 'When the visit last changed.';
COMMENT ON COLUMN clinicq_report.open_visits_named.seconds IS 'Seconds since opened_at.';
COMMENT ON COLUMN clinicq_report.open_visits_named.registration_number IS 'Registration number of the patient.';
COMMENT ON COLUMN clinicq_report.open_visits_named.patient IS 'Name of the patient; Restricted where the record is.';
COMMENT ON COLUMN clinicq_report.open_visits_named.phone IS 'Telephone; NULL where none is known, or the record is restricted.';
