-- The schema clinicq, which holds the tables, is no member of the extension: it is named in the
-- control file. These hold code only.
CREATE SCHEMA clinicq_api;
CREATE SCHEMA clinicq_audit;
CREATE SCHEMA clinicq_report;

COMMENT ON SCHEMA clinicq IS 'ClinicQ: the tables of the clinic, and the functions for psql.';
COMMENT ON SCHEMA clinicq_api IS 'ClinicQ: what the HTTP shim calls, and the functions that routes name.';
COMMENT ON SCHEMA clinicq_audit IS 'ClinicQ: what auditors read.';
COMMENT ON SCHEMA clinicq_report IS 'ClinicQ: reports by direct SQL, without names of patients.';

-- Tables are made by migrate(), which runs as clinicq_owner.
GRANT USAGE, CREATE ON SCHEMA clinicq TO clinicq_owner;
GRANT USAGE, CREATE ON SCHEMA clinicq_api, clinicq_audit, clinicq_report TO clinicq_owner;
GRANT USAGE ON SCHEMA clinicq TO clinicq_admin, clinicq_doctor, clinicq_assistant,
    clinicq_display, clinicq_auditor, clinicq_reporter;
GRANT USAGE ON SCHEMA clinicq_audit TO clinicq_auditor, clinicq_admin;
GRANT USAGE ON SCHEMA clinicq_report TO clinicq_admin, clinicq_reporter;
GRANT USAGE ON SCHEMA clinicq_api TO clinicq_shim, clinicq_deliver;

-- An index names the operator class of pg_trgm, which may stand in a schema that is closed to others.
DO $trgm$
DECLARE
    trgm pg_catalog.regnamespace := (SELECT e.extnamespace FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_trgm');
BEGIN
    IF NOT pg_catalog.has_schema_privilege('clinicq_owner', trgm, 'USAGE') THEN
        EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %s TO clinicq_owner', trgm);
    END IF;
END
$trgm$;

CREATE TYPE clinicq_api.reply AS (status integer, body json, headers json);
COMMENT ON TYPE clinicq_api.reply IS
    'What a routed function answers: HTTP status; body, NULL for none; headers as {"Name": "value"}, NULL for none.';
