-- What has to be so before anything else of this script runs. Until the schema's owner is known,
-- operators of its search path could be anybody's: they are qualified.
DO $requirements$
BEGIN
    -- CREATE EXTENSION takes a schema clinicq that is there. Its owner could drop every table.
    IF NOT (SELECT r.rolsuper FROM pg_catalog.pg_namespace n
            JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
            WHERE n.nspname OPERATOR(pg_catalog.=) 'clinicq'::pg_catalog.name)
    THEN
        RAISE EXCEPTION 'schema clinicq exists and does not belong to a superuser'
            USING ERRCODE = 'insufficient_privilege',
            HINT = 'Find out who made it and what stands in it. Drop it, and try again.';
    END IF;
    IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8'::pg_catalog.name THEN
        RAISE EXCEPTION 'ClinicQ needs a database with the encoding UTF8'
            USING ERRCODE = 'feature_not_supported',
            HINT = 'Create one: CREATE DATABASE ... TEMPLATE template0 ENCODING ''UTF8''.';
    END IF;
END
$requirements$;
