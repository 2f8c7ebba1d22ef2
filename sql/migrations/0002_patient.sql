-- 0100001 is 01-00-001, the first number of the default format; eight digits are its end.
CREATE SEQUENCE clinicq.registration_number_seq AS bigint START 100001 MINVALUE 1 MAXVALUE 999999999999;
COMMENT ON SEQUENCE clinicq.registration_number_seq IS 'Serial of registration numbers whose format has no {MM}, {YY} or {CT}.';

CREATE TABLE clinicq.registration_counter (
    prefix text PRIMARY KEY,
    last_serial bigint NOT NULL CHECK (last_serial >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE clinicq.registration_counter IS 'Serials of registration numbers whose format has placeholders, one for each prefix they give.';
COMMENT ON COLUMN clinicq.registration_counter.prefix IS 'What stands before the serial, as 1126-02-.';
COMMENT ON COLUMN clinicq.registration_counter.last_serial IS 'The last serial given out.';

CREATE TABLE clinicq.patient (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    registration_number text NOT NULL UNIQUE CHECK (registration_number ~ '^[0-9A-Z][0-9A-Z-]{0,14}$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255 AND name = btrim(name) AND name !~ '[[:cntrl:]]'),
    phone text CHECK (char_length(phone) <= 20 AND phone = btrim(phone) AND phone !~ '[[:cntrl:]]'),
    gender text NOT NULL DEFAULT 'OTHER' CHECK (gender IN ('MALE', 'FEMALE', 'OTHER')),
    category text NOT NULL DEFAULT '01' CHECK (category IN ('01', '02', '03', '04', '05')),
    registered_by bigint,
    removed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1
) WITH (fillfactor = 90);
COMMENT ON TABLE clinicq.patient IS 'A person, registered once.';
COMMENT ON COLUMN clinicq.patient.id IS 'Internal key; never shown, so that numbers can be reformatted.';
COMMENT ON COLUMN clinicq.patient.registration_number IS 'The number on the patient''s card; never given twice.';
COMMENT ON COLUMN clinicq.patient.name IS 'Full name, 1 to 255 characters.';
COMMENT ON COLUMN clinicq.patient.phone IS 'Telephone number as it was given, up to 20 characters; NULL or empty when there is none.';
COMMENT ON COLUMN clinicq.patient.gender IS 'MALE, FEMALE or OTHER.';
COMMENT ON COLUMN clinicq.patient.category IS 'Who pays: 01 the patient, 02 an insurance, 03 cash, 04 free, 05 poor.';
COMMENT ON COLUMN clinicq.patient.registered_by IS 'The user who registered the patient over HTTP; NULL from psql.';
COMMENT ON COLUMN clinicq.patient.removed_at IS 'When the record was hidden; NULL while it is in use. Rows are never deleted.';
COMMENT ON COLUMN clinicq.patient.created_at IS 'When the patient was registered.';
COMMENT ON COLUMN clinicq.patient.updated_at IS 'When the record was last changed.';
COMMENT ON COLUMN clinicq.patient.version IS 'Counts the changes of this row.';

CREATE UNIQUE INDEX patient_number_digits ON clinicq.patient (replace(registration_number, '-', ''));
COMMENT ON INDEX clinicq.patient_number_digits IS 'Look-up of a number written without dashes; no two numbers differ by dashes alone.';
CREATE INDEX patient_phone ON clinicq.patient (phone) WHERE removed_at IS NULL;
COMMENT ON INDEX clinicq.patient_phone IS 'Search: exact telephone number first.';
CREATE INDEX patient_name_start ON clinicq.patient (lower(name) text_pattern_ops) WHERE removed_at IS NULL;
COMMENT ON INDEX clinicq.patient_name_start IS 'Search: names that begin with the term.';
CREATE INDEX patient_registered_by ON clinicq.patient (registered_by, name) WHERE registered_by IS NOT NULL;
COMMENT ON INDEX clinicq.patient_registered_by IS 'The same patient sent twice within ten seconds by one user.';

-- pg_trgm may stand in any schema; its operator class is named with it. Searches read the list of
-- pending entries as well: where it is long the planner would rather read the whole table.
DECLARE
    trgm text := (SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension e
                  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
BEGIN
    EXECUTE format('CREATE INDEX patient_search ON clinicq.patient USING gin '
        '(name %1$s.gin_trgm_ops, phone %1$s.gin_trgm_ops, replace(registration_number, ''-'', '''') %1$s.gin_trgm_ops) '
        'WITH (gin_pending_list_limit = 256) WHERE removed_at IS NULL', trgm);
END;
COMMENT ON INDEX clinicq.patient_search IS 'Search by any part of a name, telephone or registration number.';
