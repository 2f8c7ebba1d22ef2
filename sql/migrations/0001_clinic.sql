CREATE TABLE clinicq.setting (
    name text PRIMARY KEY,
    value text NOT NULL CHECK (char_length(value) <= 1000),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clinicq.setting IS 'One row a setting; change them with clinicq.set_setting(), which checks the value.';
COMMENT ON COLUMN clinicq.setting.name IS 'Name, as clinicq.setting(name) takes it.';
COMMENT ON COLUMN clinicq.setting.value IS 'Value as text; numbers in the unit that the name ends with.';
COMMENT ON COLUMN clinicq.setting.updated_at IS 'When it was last changed.';

CREATE TABLE clinicq.clinic (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255),
    timezone text NOT NULL DEFAULT 'UTC' CHECK ((timezone = 'UTC' OR timezone ~ '^[A-Za-z_]+/[A-Za-z0-9_+/-]+$')
        AND timestamptz '2000-01-01 00:00:00+00' AT TIME ZONE timezone IS NOT NULL),
    day_starts_at time NOT NULL DEFAULT '00:00' CHECK (day_starts_at < '24:00'),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clinicq.clinic IS 'A site with queues and a calendar of its own; one exists from the start.';
COMMENT ON COLUMN clinicq.clinic.id IS 'Key.';
COMMENT ON COLUMN clinicq.clinic.name IS 'Name of the site.';
COMMENT ON COLUMN clinicq.clinic.timezone IS 'IANA time zone in which its days are counted, as Asia/Karachi; not an abbreviation.';
COMMENT ON COLUMN clinicq.clinic.day_starts_at IS 'Local time at which a service day begins; before it, it is still the day before.';
COMMENT ON COLUMN clinicq.clinic.created_at IS 'When it was added.';
INSERT INTO clinicq.clinic (name) VALUES ('Clinic');

CREATE TABLE clinicq.queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clinic_id bigint NOT NULL REFERENCES clinicq.clinic,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100 AND name = btrim(name) AND name !~ '[[:cntrl:]]'),
    token_prefix text NOT NULL DEFAULT '' CHECK (token_prefix ~ '^[A-Z0-9]{0,4}$'),
    closed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE clinicq.queue IS 'What patients wait in: a doctor, a speciality, a counter. Tokens count from 1 in each queue on each day.';
COMMENT ON COLUMN clinicq.queue.id IS 'Key.';
COMMENT ON COLUMN clinicq.queue.clinic_id IS 'The site it belongs to, whose calendar rules its days.';
COMMENT ON COLUMN clinicq.queue.name IS 'Name, different from every other open queue of the site.';
COMMENT ON COLUMN clinicq.queue.token_prefix IS 'Up to four letters or digits shown before a token.';
COMMENT ON COLUMN clinicq.queue.closed_at IS 'When it was closed for good; NULL while it is in use.';
COMMENT ON COLUMN clinicq.queue.created_at IS 'When it was created.';
COMMENT ON COLUMN clinicq.queue.updated_at IS 'When it was last changed.';
COMMENT ON COLUMN clinicq.queue.version IS 'Counts the changes of this row.';
CREATE UNIQUE INDEX queue_open_name ON clinicq.queue (clinic_id, lower(name)) WHERE closed_at IS NULL;
COMMENT ON INDEX clinicq.queue_open_name IS 'No two open queues of a site share a name; also serves the list of queues.';

CREATE TABLE clinicq.room (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clinic_id bigint NOT NULL REFERENCES clinicq.clinic,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100 AND name = btrim(name) AND name !~ '[[:cntrl:]]'),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (clinic_id, name)
);
COMMENT ON TABLE clinicq.room IS 'Where a patient is called to; never two patients in one room at a time.';
COMMENT ON COLUMN clinicq.room.id IS 'Key.';
COMMENT ON COLUMN clinicq.room.clinic_id IS 'The site it belongs to.';
COMMENT ON COLUMN clinicq.room.name IS 'Name, as it stands on the door.';
COMMENT ON COLUMN clinicq.room.created_at IS 'When it was added.';
