CREATE TABLE clinicq.token_counter (
    queue_id bigint NOT NULL REFERENCES clinicq.queue,
    service_day date NOT NULL,
    last_token integer NOT NULL CHECK (last_token >= 0),
    PRIMARY KEY (queue_id, service_day)
) WITH (fillfactor = 20);
COMMENT ON TABLE clinicq.token_counter IS 'One row a queue and day; its row lock makes tokens gapless.';
COMMENT ON COLUMN clinicq.token_counter.queue_id IS 'The queue.';
COMMENT ON COLUMN clinicq.token_counter.service_day IS 'The service day.';
COMMENT ON COLUMN clinicq.token_counter.last_token IS 'The last token given out.';

CREATE TABLE clinicq.visit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id bigint NOT NULL REFERENCES clinicq.patient,
    queue_id bigint NOT NULL REFERENCES clinicq.queue,
    service_day date NOT NULL,
    token_number integer NOT NULL CHECK (token_number > 0),
    status text NOT NULL DEFAULT 'WAITING' CHECK (status IN
        ('WAITING', 'START', 'IN_ROOM', 'HELD', 'DONE', 'NO_SHOW', 'CANCELLED', 'TRANSFERRED')),
    priority smallint NOT NULL DEFAULT 0,
    room_id bigint REFERENCES clinicq.room,
    transferred_from bigint REFERENCES clinicq.visit,
    transferred_to bigint REFERENCES clinicq.visit,
    closed_by_system boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    UNIQUE (queue_id, service_day, token_number),
    CHECK ((status = 'TRANSFERRED') = (transferred_to IS NOT NULL)),
    CHECK (room_id IS NULL OR status IN ('START', 'IN_ROOM', 'DONE', 'NO_SHOW'))
) WITH (fillfactor = 80);
COMMENT ON TABLE clinicq.visit IS 'One coming of a patient to one queue on one day, with its token.';
COMMENT ON COLUMN clinicq.visit.id IS 'Key.';
COMMENT ON COLUMN clinicq.visit.patient_id IS 'The patient.';
COMMENT ON COLUMN clinicq.visit.queue_id IS 'The queue.';
COMMENT ON COLUMN clinicq.visit.service_day IS 'The service day of the queue''s site on which the token was given.';
COMMENT ON COLUMN clinicq.visit.token_number IS 'Token: 1, 2, 3 without a gap in each queue on each day.';
COMMENT ON COLUMN clinicq.visit.status IS 'WAITING, START (called), IN_ROOM and HELD are open; DONE, NO_SHOW, CANCELLED and TRANSFERRED are closed.';
COMMENT ON COLUMN clinicq.visit.priority IS 'Greater goes first; 0 is the ordinary patient.';
COMMENT ON COLUMN clinicq.visit.room_id IS 'The room that the patient was called to.';
COMMENT ON COLUMN clinicq.visit.transferred_from IS 'The visit in another queue that this one goes on from.';
COMMENT ON COLUMN clinicq.visit.transferred_to IS 'The visit in another queue in which this one goes on.';
COMMENT ON COLUMN clinicq.visit.closed_by_system IS 'True where a forgotten visit was closed when the next service day began.';
COMMENT ON COLUMN clinicq.visit.created_at IS 'When the token was given.';
COMMENT ON COLUMN clinicq.visit.updated_at IS 'When the visit last changed.';
COMMENT ON COLUMN clinicq.visit.version IS 'Counts the changes of this row.';

CREATE UNIQUE INDEX visit_open_once ON clinicq.visit (queue_id, service_day, patient_id)
    WHERE status IN ('WAITING', 'START', 'IN_ROOM', 'HELD');
COMMENT ON INDEX clinicq.visit_open_once IS 'A patient has at most one open visit a queue and day; what is still open, for closing a queue and for closing yesterday.';
CREATE UNIQUE INDEX visit_room_once ON clinicq.visit (room_id, service_day)
    WHERE status IN ('START', 'IN_ROOM');
COMMENT ON INDEX clinicq.visit_room_once IS 'A room holds at most one patient at a time.';
CREATE INDEX visit_of_patient ON clinicq.visit (patient_id, service_day DESC, id DESC);
COMMENT ON INDEX clinicq.visit_of_patient IS 'The last visit dates of a patient.';
CREATE INDEX visit_of_day ON clinicq.visit (service_day, queue_id, token_number);
COMMENT ON INDEX clinicq.visit_of_day IS 'The lists of a day; also finds what an earlier day left open.';

CREATE TABLE clinicq.visit_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    visit_id bigint NOT NULL REFERENCES clinicq.visit,
    at timestamptz NOT NULL DEFAULT now(),
    move text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    room_id bigint,
    actor_id bigint,
    actor_name text NOT NULL
);
COMMENT ON TABLE clinicq.visit_event IS 'Every move of every visit: what, who, when.';
COMMENT ON COLUMN clinicq.visit_event.id IS 'Key; commits may not follow its order.';
COMMENT ON COLUMN clinicq.visit_event.visit_id IS 'The visit that moved.';
COMMENT ON COLUMN clinicq.visit_event.at IS 'When.';
COMMENT ON COLUMN clinicq.visit_event.move IS 'Name of the move: open, start, in_room, send_back, done, no_show, recall, cancel, transfer, day_end.';
COMMENT ON COLUMN clinicq.visit_event.from_status IS 'Status before; NULL for a new visit.';
COMMENT ON COLUMN clinicq.visit_event.to_status IS 'Status after.';
COMMENT ON COLUMN clinicq.visit_event.room_id IS 'The room, where the move named one.';
COMMENT ON COLUMN clinicq.visit_event.actor_id IS 'The user over HTTP; NULL from psql and for the system.';
COMMENT ON COLUMN clinicq.visit_event.actor_name IS 'User name, database role, or system.';
CREATE INDEX visit_event_of_visit ON clinicq.visit_event (visit_id, id);
COMMENT ON INDEX clinicq.visit_event_of_visit IS 'The history of one visit; a move that is sent a second time.';
