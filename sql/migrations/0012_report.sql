-- What reports add up of days that are over, so that years are read as thousands of rows.
CREATE TABLE clinicq.summary_state (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    through date
);
COMMENT ON TABLE clinicq.summary_state IS 'One row: how far days are summarised; its row lock lets one session at a time do it.';
COMMENT ON COLUMN clinicq.summary_state.id IS 'Always true.';
COMMENT ON COLUMN clinicq.summary_state.through IS 'Every day up to this one is summarised; NULL: none yet.';
INSERT INTO clinicq.summary_state DEFAULT VALUES;

CREATE TABLE clinicq.stale_day (
    service_day date PRIMARY KEY,
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE clinicq.stale_day IS 'Past days of which a visit has changed: reports count them anew until they are summarised again.';
COMMENT ON COLUMN clinicq.stale_day.service_day IS 'The service day.';
COMMENT ON COLUMN clinicq.stale_day.marked_at IS 'When a visit of it last changed.';

CREATE TABLE clinicq.visit_summary (
    service_day date NOT NULL,
    queue_id bigint NOT NULL REFERENCES clinicq.queue,
    visits integer NOT NULL,
    waiting integer NOT NULL,
    started integer NOT NULL,
    in_room integer NOT NULL,
    held integer NOT NULL,
    done integer NOT NULL,
    no_show integer NOT NULL,
    cancelled integer NOT NULL,
    transferred integer NOT NULL,
    closed_by_system integer NOT NULL,
    never_called integer NOT NULL,
    recalled integer NOT NULL,
    first_waits integer[] NOT NULL,
    later_waits integer[] NOT NULL,
    services integer[] NOT NULL,
    PRIMARY KEY (service_day, queue_id)
);
COMMENT ON TABLE clinicq.visit_summary IS 'The visits of a queue on a past day, added up; made by clinicq.summarise_days(). Medians of no two days can be put together, so every duration is kept.';
COMMENT ON COLUMN clinicq.visit_summary.service_day IS 'The service day.';
COMMENT ON COLUMN clinicq.visit_summary.queue_id IS 'The queue.';
COMMENT ON COLUMN clinicq.visit_summary.visits IS 'Visits: tokens given.';
COMMENT ON COLUMN clinicq.visit_summary.waiting IS 'Of them WAITING still.';
COMMENT ON COLUMN clinicq.visit_summary.started IS 'Of them START still.';
COMMENT ON COLUMN clinicq.visit_summary.in_room IS 'Of them IN_ROOM still.';
COMMENT ON COLUMN clinicq.visit_summary.held IS 'Of them HELD still.';
COMMENT ON COLUMN clinicq.visit_summary.done IS 'Of them DONE.';
COMMENT ON COLUMN clinicq.visit_summary.no_show IS 'Of them NO_SHOW.';
COMMENT ON COLUMN clinicq.visit_summary.cancelled IS 'Of them CANCELLED.';
COMMENT ON COLUMN clinicq.visit_summary.transferred IS 'Of them TRANSFERRED.';
COMMENT ON COLUMN clinicq.visit_summary.closed_by_system IS 'Of the done and the no-shows: closed by the system.';
COMMENT ON COLUMN clinicq.visit_summary.never_called IS 'Of the no-shows: closed by the system.';
COMMENT ON COLUMN clinicq.visit_summary.recalled IS 'Visits that were recalled after a no-show.';
COMMENT ON COLUMN clinicq.visit_summary.first_waits IS 'Seconds from opening to the first call, ascending; without visits that the system closed.';
COMMENT ON COLUMN clinicq.visit_summary.later_waits IS 'Seconds from the return to the queue to each later call, ascending; without visits that the system closed.';
COMMENT ON COLUMN clinicq.visit_summary.services IS 'Seconds from IN_ROOM to DONE, ascending; without visits that the system closed.';

CREATE TABLE clinicq.hour_summary (
    service_day date NOT NULL,
    queue_id bigint NOT NULL REFERENCES clinicq.queue,
    hour smallint NOT NULL CHECK (hour BETWEEN 0 AND 23),
    opened integer NOT NULL,
    called integer NOT NULL,
    finished integer NOT NULL,
    PRIMARY KEY (service_day, queue_id, hour)
);
COMMENT ON TABLE clinicq.hour_summary IS 'The same by hours of the site''s clock.';
COMMENT ON COLUMN clinicq.hour_summary.service_day IS 'The service day.';
COMMENT ON COLUMN clinicq.hour_summary.queue_id IS 'The queue.';
COMMENT ON COLUMN clinicq.hour_summary.hour IS 'Hour of the site''s clock when the day was summarised.';
COMMENT ON COLUMN clinicq.hour_summary.opened IS 'Visits opened.';
COMMENT ON COLUMN clinicq.hour_summary.called IS 'Calls, each of them.';
COMMENT ON COLUMN clinicq.hour_summary.finished IS 'Visits finished by somebody, not by the system.';

CREATE TABLE clinicq.staff_summary (
    service_day date NOT NULL,
    queue_id bigint NOT NULL REFERENCES clinicq.queue,
    user_name text NOT NULL,
    called integer NOT NULL,
    finished integer NOT NULL,
    room_seconds bigint NOT NULL,
    PRIMARY KEY (service_day, queue_id, user_name)
);
COMMENT ON TABLE clinicq.staff_summary IS 'The same by who called and saw patients.';
COMMENT ON COLUMN clinicq.staff_summary.service_day IS 'The service day.';
COMMENT ON COLUMN clinicq.staff_summary.queue_id IS 'The queue.';
COMMENT ON COLUMN clinicq.staff_summary.user_name IS 'User name, or database role, as in clinicq.visit_event.';
COMMENT ON COLUMN clinicq.staff_summary.called IS 'Calls, each of them.';
COMMENT ON COLUMN clinicq.staff_summary.finished IS 'Visits finished.';
COMMENT ON COLUMN clinicq.staff_summary.room_seconds IS 'Seconds from IN_ROOM to DONE, or back to the queue, of those that this user ended.';

-- A sample of so many visits with a few events each makes the planner think of five times as many.
ALTER TABLE clinicq.visit_event ALTER COLUMN visit_id SET (n_distinct = -0.25);
