CREATE TABLE clinicq.priority_class (
    clinic_id bigint NOT NULL REFERENCES clinicq.clinic,
    rank smallint NOT NULL CHECK (rank >= 0),
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_-]{0,29}$'),
    reached_by_ageing boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (clinic_id, rank),
    UNIQUE (clinic_id, name)
);
COMMENT ON TABLE clinicq.priority_class IS 'Who goes before whom in the queues of a site.';
COMMENT ON COLUMN clinicq.priority_class.clinic_id IS 'The site.';
COMMENT ON COLUMN clinicq.priority_class.rank IS 'Greater goes first; 0 is the ordinary patient. clinicq.visit.priority holds it.';
COMMENT ON COLUMN clinicq.priority_class.name IS 'Name, as it is given when a visit is opened.';
COMMENT ON COLUMN clinicq.priority_class.reached_by_ageing IS 'Whether visits of lower classes come to count as this one by waiting.';
COMMENT ON COLUMN clinicq.priority_class.created_at IS 'When it was added.';
INSERT INTO clinicq.priority_class (clinic_id, rank, name, reached_by_ageing)
    SELECT c.id, p.rank, p.name, p.name <> 'emergency' FROM clinicq.clinic c,
        (VALUES (0::smallint, 'normal'), (10::smallint, 'pregnant'), (20::smallint, 'elderly'), (30::smallint, 'emergency')) AS p (rank, name);

ALTER TABLE clinicq.visit
    ADD place integer,
    ADD returned_at timestamptz,
    ADD follow_code bytea CHECK (octet_length(follow_code) = 16);
COMMENT ON COLUMN clinicq.visit.place IS 'Place in the queue among tokens, where it is not the token itself: one past the last token when the visit returned to the end.';
COMMENT ON COLUMN clinicq.visit.returned_at IS 'When the visit returned to the end of the queue; from then on its waiting counts.';
COMMENT ON COLUMN clinicq.visit.follow_code IS 'The code on the slip by which the patient follows this visit until the day ends; kept as it is so that the slip can be printed again.';

COMMENT ON COLUMN clinicq.visit_event.move IS 'Name of the move: open, start, in_room, send_back, done, no_show, recall, cancel, transfer, hold, resume, announce (called once more), undo, day_end.';

CREATE INDEX visit_waiting ON clinicq.visit (queue_id, service_day, priority DESC, (coalesce(place, token_number)))
    WHERE status = 'WAITING';
COMMENT ON INDEX clinicq.visit_waiting IS 'Who waits in a queue, for call_next() and the board.';
-- By its hash, so that the time of a look-up tells nothing of the codes that there are.
CREATE UNIQUE INDEX visit_follow ON clinicq.visit (sha256(follow_code)) WHERE follow_code IS NOT NULL;
COMMENT ON INDEX clinicq.visit_follow IS 'The visit of a code on a slip.';
CREATE INDEX visit_event_starts ON clinicq.visit_event (at) WHERE move = 'start';
COMMENT ON INDEX clinicq.visit_event_starts IS 'Who has called lately, for estimates of the wait.';

ALTER TABLE clinicq.room
    ADD closed_at timestamptz,
    ADD updated_at timestamptz NOT NULL DEFAULT now(),
    ADD version integer NOT NULL DEFAULT 1,
    DROP CONSTRAINT room_clinic_id_name_key;
COMMENT ON COLUMN clinicq.room.closed_at IS 'When it was closed for good; NULL while it is in use.';
COMMENT ON COLUMN clinicq.room.updated_at IS 'When it was last changed.';
COMMENT ON COLUMN clinicq.room.version IS 'Counts the changes of this row.';
CREATE UNIQUE INDEX room_open_name ON clinicq.room (clinic_id, name) WHERE closed_at IS NULL;
COMMENT ON INDEX clinicq.room_open_name IS 'No two open rooms of a site share a name.';

CREATE TABLE clinicq.room_session (
    room_id bigint PRIMARY KEY REFERENCES clinicq.room,
    user_id bigint,
    user_name text NOT NULL,
    service_day date NOT NULL,
    signed_in_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clinicq.room_session IS 'Who works in which room; it ends with the service day.';
COMMENT ON COLUMN clinicq.room_session.room_id IS 'The room.';
COMMENT ON COLUMN clinicq.room_session.user_id IS 'The user over HTTP; NULL from psql.';
COMMENT ON COLUMN clinicq.room_session.user_name IS 'User name, or database role.';
COMMENT ON COLUMN clinicq.room_session.service_day IS 'The service day of the site on which it holds.';
COMMENT ON COLUMN clinicq.room_session.signed_in_at IS 'When.';
CREATE UNIQUE INDEX room_session_user ON clinicq.room_session (coalesce(user_id, 0), user_name);
COMMENT ON INDEX clinicq.room_session_user IS 'One works in one room at a time.';
