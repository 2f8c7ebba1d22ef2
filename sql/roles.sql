-- The roles of ClinicQ. They belong to the cluster, not to the database: another database may
-- have made them already, or be making them at this moment: the lock holds in the whole cluster.
DO $roles$
DECLARE
    wanted text;
    found pg_catalog.pg_roles;
BEGIN
    LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;
    FOREACH wanted IN ARRAY ARRAY['clinicq_owner', 'clinicq_admin', 'clinicq_doctor',
        'clinicq_assistant', 'clinicq_display', 'clinicq_auditor', 'clinicq_reporter',
        'clinicq_shim', 'clinicq_deliver']
    LOOP
        IF pg_catalog.to_regrole(wanted) IS NULL THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I %s', wanted,
                CASE WHEN wanted IN ('clinicq_shim', 'clinicq_deliver') THEN 'LOGIN' ELSE 'NOLOGIN' END);
        END IF;
        SELECT * INTO STRICT found FROM pg_catalog.pg_roles WHERE rolname = wanted;
        IF found.rolsuper OR found.rolcreaterole OR found.rolcreatedb OR found.rolreplication
            OR found.rolbypassrls OR found.rolcanlogin IS DISTINCT FROM (wanted IN ('clinicq_shim', 'clinicq_deliver'))
        THEN
            RAISE EXCEPTION 'role % exists with attributes that ClinicQ does not give it', wanted
                USING ERRCODE = 'duplicate_object',
                HINT = 'Rename that role, or take SUPERUSER, CREATEROLE, CREATEDB, REPLICATION, '
                    'BYPASSRLS and an unexpected LOGIN from it, and try again.';
        END IF;
    END LOOP;

    -- Made in advance by somebody who may create roles, with himself as a member, it would give
    -- him every table; after a restore of the cluster's roles it is as it should be. Once ClinicQ
    -- stands in a database of the cluster the role owns something.
    IF EXISTS (SELECT FROM pg_catalog.pg_auth_members
               WHERE roleid OPERATOR(pg_catalog.=) 'clinicq_owner'::pg_catalog.regrole::pg_catalog.oid)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend
                        WHERE refobjid OPERATOR(pg_catalog.=) 'clinicq_owner'::pg_catalog.regrole::pg_catalog.oid
                            AND deptype OPERATOR(pg_catalog.=) 'o'::pg_catalog."char")
    THEN
        RAISE WARNING 'role clinicq_owner was there already and has members'
            USING HINT = 'Right after a restore. Otherwise find out who made it, and revoke it from them.';
    END IF;
END
$roles$;

COMMENT ON ROLE clinicq_owner IS 'Owns the tables and functions of ClinicQ; nobody logs in as it.';
COMMENT ON ROLE clinicq_admin IS 'ClinicQ: may do all that doctors and assistants may, and administers queues, users and settings.';
COMMENT ON ROLE clinicq_doctor IS 'ClinicQ: calls, sees and finishes visits.';
COMMENT ON ROLE clinicq_assistant IS 'ClinicQ: registers patients and opens visits.';
COMMENT ON ROLE clinicq_display IS 'ClinicQ: shows the board in the waiting room.';
COMMENT ON ROLE clinicq_auditor IS 'ClinicQ: reads the audit log.';
COMMENT ON ROLE clinicq_reporter IS 'ClinicQ: reads reports.';
COMMENT ON ROLE clinicq_shim IS 'ClinicQ: the HTTP shim logs in as this; it may execute a handful of functions of clinicq_api.';
COMMENT ON ROLE clinicq_deliver IS 'ClinicQ: clinicq-shim deliver logs in as this; it may take deliveries from the outbox and say what became of them.';

-- A statement that waits or runs for too long gives its connection back; its parameters
-- (tokens, passwords, names) never reach the server log. A refusal is an answer, not an event of the
-- server; the shim logs what is one. A slow statement is one: log stands above error.
DO $settings$
DECLARE
    role text;
    setting text;
BEGIN
    FOREACH role IN ARRAY ARRAY['clinicq_shim', 'clinicq_deliver'] LOOP
        FOREACH setting IN ARRAY ARRAY['statement_timeout = ''8s''', 'lock_timeout = ''5s''',
            'idle_in_transaction_session_timeout = ''10s''', 'log_parameter_max_length = 0',
            'log_parameter_max_length_on_error = 0', 'log_min_messages = log', 'jit = off']
        LOOP
            EXECUTE pg_catalog.format('ALTER ROLE %I SET %s', role, setting);
        END LOOP;
    END LOOP;
END
$settings$;
