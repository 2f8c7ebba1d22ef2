-- Proves that nothing works before CALL clinicq.migrate(), and nothing works silently once its
-- triggers may be missing: every function raises 55000 in a database that has only the extension,
-- after a second CREATE EXTENSION, and in a session that found all well before.
SELECT no_plan();

CREATE TABLE tap.func AS
    SELECT p.proname AS name, p.provolatile,
        format('SELECT 1 FROM clinicq.%I(%s)', p.proname, coalesce((
            SELECT string_agg(CASE WHEN p.provariadic <> 0 THEN 'VARIADIC ' ELSE '' END || CASE
                WHEN p.proname IN ('log_in', 'log_out') THEN '''x''' WHEN p.provariadic <> 0 THEN '''{admin}''' ELSE 'NULL' END
                || '::' || format_type(t, NULL), ', ' ORDER BY n)
            FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)), '')) AS statement
    FROM pg_proc p
    WHERE p.pronamespace = 'clinicq'::regnamespace AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
        AND p.proname NOT IN ('settings', 'forget_caches', 'lock_migration'); -- what migrate() itself calls

SELECT is(tap.state('admin', f.statement) <> '55000', true, f.name || '() works after migrate()')
FROM tap.func f WHERE name <> 'issue_token' ORDER BY f.name;

-- Only the extension: no table was ever made.
SET client_min_messages = error;
DROP EXTENSION clinicq CASCADE;
DROP SCHEMA clinicq CASCADE;
CREATE EXTENSION clinicq;
RESET client_min_messages;
SELECT is(to_regclass('clinicq.patient'), NULL, 'CREATE EXTENSION makes no table');
SELECT is(tap.state('admin', f.statement), '55000', f.name || '() raises 55000 before migrate()')
FROM tap.func f ORDER BY f.name;
SELECT is(tap.act('shim', 'SELECT clinicq_api.catalogue()'),
    '55000: ClinicQ''s tables are not those of the installed version', 'catalogue() says so');
SELECT is(tap.http('GET /api/health/', NULL)->>'sqlstate', '55000', 'call() raises 55000 on an open route');
SELECT is(tap.state('reporter', 'SELECT clinicq_report.' || f), '55000', 'reports too: ' || f) FROM unnest(ARRAY['guard()', 'board_at(1)']) AS f;
SELECT is(tap.http('GET /api/patients/', NULL)->>'sqlstate', '55000', 'call() raises 55000 before it asks for a token');

SELECT is(tap.state('admin', 'CALL clinicq.migrate()'), '42501', 'an administrator may not migrate');
SELECT is(tap.state('dba', 'CALL clinicq.migrate()'), '00000', 'a member of clinicq_owner may');
SELECT is(tap.act('admin', 'SELECT clinicq.create_queue(''General'')'), '1', 'then all works');
SELECT is(tap.http('GET /api/health/', NULL)->>'status', '200', 'over HTTP too');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE entity = 'queue'), 1::bigint, 'with its audit');

-- Dropped and created again: tables and data are there, triggers are not.
SET client_min_messages = error;
DROP EXTENSION clinicq CASCADE;
CREATE EXTENSION clinicq;
RESET client_min_messages;
SELECT is((SELECT count(*) FROM clinicq.queue), 1::bigint, 'DROP EXTENSION CASCADE leaves the rows');
SELECT is((SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal), 0::bigint, 'and takes the triggers');
SELECT is(tap.state('admin', f.statement), '55000', f.name || '() raises 55000 until migrate() has run again')
FROM tap.func f ORDER BY f.name;
SELECT is(tap.http('GET /api/health/', NULL)->>'sqlstate', '55000', 'call() too');
CALL clinicq.migrate();
SELECT is(tap.act('admin', 'SELECT clinicq.create_queue(''Dental'')'), '2', 'after migrate() all works');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE entity = 'queue'), 2::bigint, 'with its audit');

-- A version that migrate() has not run for.
UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'clinicq';
SELECT clinicq.forget_caches();
SELECT is(tap.state('admin', 'SELECT * FROM clinicq.current_actor()'), '55000', 'another installed version asks for migrate()');
CALL clinicq.migrate();
SELECT is(tap.state('admin', 'SELECT * FROM clinicq.current_actor()'), '55000',
    'a library that is not of the installed version serves nobody');

SELECT * FROM finish();
