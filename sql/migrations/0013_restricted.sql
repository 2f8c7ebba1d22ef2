-- Patients whose record only those may see who are named for it.
ALTER TABLE clinicq.patient ADD COLUMN restricted boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN clinicq.patient.restricted IS 'True for a record that only those may see who have a row in clinicq.patient_access.';

CREATE TABLE clinicq.patient_access (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id bigint NOT NULL REFERENCES clinicq.patient,
    user_id bigint REFERENCES clinicq.app_user,
    user_name text NOT NULL,
    granted_by_id bigint,
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz,
    reason text CHECK (char_length(reason) BETWEEN 10 AND 500),
    reviewed_by_id bigint,
    reviewed_by text,
    reviewed_at timestamptz,
    review text CHECK (char_length(review) BETWEEN 1 AND 1000),
    CHECK (user_id IS NOT NULL OR reason IS NOT NULL),
    CHECK (reason IS NULL OR until IS NOT NULL),
    CHECK (num_nulls(reviewed_by, reviewed_at, review) IN (0, 3)),
    CHECK (review IS NULL OR reason IS NOT NULL)
);
COMMENT ON TABLE clinicq.patient_access IS 'Who may see a restricted patient: those on the list, and those who opened the record in an emergency. Rows are never deleted.';
COMMENT ON COLUMN clinicq.patient_access.id IS 'Key.';
COMMENT ON COLUMN clinicq.patient_access.patient_id IS 'The patient.';
COMMENT ON COLUMN clinicq.patient_access.user_id IS 'The user; NULL for a database role, which can only be here by an emergency.';
COMMENT ON COLUMN clinicq.patient_access.user_name IS 'Name of the user or database role.';
COMMENT ON COLUMN clinicq.patient_access.granted_by_id IS 'Who put the user on the list; NULL from psql.';
COMMENT ON COLUMN clinicq.patient_access.granted_by IS 'Name of who did; in an emergency the same as user_name.';
COMMENT ON COLUMN clinicq.patient_access.granted_at IS 'Since when.';
COMMENT ON COLUMN clinicq.patient_access.until IS 'Until when; NULL for as long as the user is on the list.';
COMMENT ON COLUMN clinicq.patient_access.reason IS 'Why the record was opened in an emergency, 10 to 500 characters; NULL on the list.';
COMMENT ON COLUMN clinicq.patient_access.reviewed_by_id IS 'Who reviewed an emergency; NULL from psql.';
COMMENT ON COLUMN clinicq.patient_access.reviewed_by IS 'Name of who did; NULL until then.';
COMMENT ON COLUMN clinicq.patient_access.reviewed_at IS 'When.';
COMMENT ON COLUMN clinicq.patient_access.review IS 'What the review found.';

CREATE UNIQUE INDEX patient_access_listed ON clinicq.patient_access (patient_id, user_id)
    WHERE reason IS NULL AND until IS NULL;
COMMENT ON INDEX clinicq.patient_access_listed IS 'A user stands on the list of a patient once.';
CREATE INDEX patient_access_of_patient ON clinicq.patient_access (patient_id, user_name);
COMMENT ON INDEX clinicq.patient_access_of_patient IS 'Whether the actor may see a restricted patient; the list of one.';
CREATE INDEX patient_access_of_user ON clinicq.patient_access (user_name, until);
COMMENT ON INDEX clinicq.patient_access_of_user IS 'The restricted patients that the actor may search.';
CREATE INDEX patient_access_emergency ON clinicq.patient_access (id DESC) WHERE reason IS NOT NULL;
COMMENT ON INDEX clinicq.patient_access_emergency IS 'The list of emergencies.';
CREATE INDEX patient_access_unreviewed ON clinicq.patient_access (id DESC) WHERE reason IS NOT NULL AND reviewed_at IS NULL;
COMMENT ON INDEX clinicq.patient_access_unreviewed IS 'Emergencies that wait for their review.';

-- A summary of each 64 pages, made by vacuum: an insert pays less than a microsecond for it, a
-- b-tree costs four times as much, and ids of patients are all over it.
CREATE INDEX audit_event_entity ON clinicq.audit_event
    USING brin (entity_id text_bloom_ops (n_distinct_per_range = 2000, false_positive_rate = 0.0001))
    WITH (pages_per_range = 64, autosummarize = on);
COMMENT ON INDEX clinicq.audit_event_entity IS 'The history of one record.';
