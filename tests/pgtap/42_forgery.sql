-- Proves, in real sessions of the shim's role and of a doctor's, that nothing which such a session may set,
-- create, prepare or plant gives it another identity or a row that it may not see: after each attempt
-- the same requests are refused as before, and the honest one still answers.
SELECT no_plan();

SELECT tap.user('ada', '{admin}') AS ada, tap.user('ben', '{display}') AS ben \gset
CREATE EXTENSION dblink SCHEMA tap;
\getenv host PGHOST
\getenv port PGPORT
\getenv shim CLINICQ_SHIM_DSN
SELECT format('host=%s port=%s dbname=%s user=clinicq_shim password=%s', :'host', :'port', current_database(), substring(:'shim' FROM '://[^:]+:([^@]+)@')) AS shim_dsn,
    format('host=%s port=%s dbname=%s user=test_doctor password=forged-or-not', :'host', :'port', current_database()) AS doctor_dsn \gset
ALTER ROLE test_doctor PASSWORD 'forged-or-not';
GRANT TEMPORARY ON DATABASE :DBNAME TO clinicq_shim, test_doctor;

-- What a request of a session answers: a value, or the SQLSTATE.
CREATE FUNCTION tap.asked(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT value FROM dblink('attacker', statement) AS t (value text));
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
-- Tries a statement in a new session, then asks; the answers that follow it, and its own SQLSTATE before.
CREATE FUNCTION tap.forge(dsn text, statement text, questions text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text := '00000';
    answers text;
BEGIN
    PERFORM dblink_connect('attacker', dsn);
    BEGIN
        PERFORM dblink_exec('attacker', statement);
    EXCEPTION WHEN OTHERS THEN
        outcome := SQLSTATE;
        PERFORM dblink_exec('attacker', 'ROLLBACK', false);
    END;
    SELECT string_agg(tap.asked(question), ' ' ORDER BY n) INTO answers FROM unnest(questions) WITH ORDINALITY AS q (question, n);
    PERFORM dblink_disconnect('attacker');
    RETURN outcome || ' ' || answers;
END
$$;
CREATE TABLE tap.attempt (statement text);
INSERT INTO tap.attempt VALUES
-- Settings.
    ('SET clinicq.user_id = ''1'''), ('DO $$ BEGIN PERFORM set_config(''clinicq.roles'', ''{admin}'', false), set_config(''clinicq.actor'', ''ada'', false), set_config(''clinicq.token'', ''x'', false); END $$'),
    ('SET search_path = pg_temp, public, clinicq, clinicq_api, pg_catalog'), ('SET application_name = ''clinicq_dba'''), ('SET row_security = off'), ('SET session_replication_role = replica'), ('SET allow_system_table_mods = on'),
    ('SET local_preload_libraries = ''x'''), ('SET lo_compat_privileges = on'), ('SET log_statement = ''all'''), ('SET role = ''clinicq_owner'''), ('SET ROLE clinicq_admin'), ('SET ROLE postgres'), ('SET ROLE clinicq_dba'), ('RESET ROLE'), ('SET SESSION AUTHORIZATION postgres'),
    ('SET SESSION AUTHORIZATION clinicq_dba'), ('RESET SESSION AUTHORIZATION'), ('BEGIN; SET LOCAL ROLE clinicq_owner'), ('DO $$ BEGIN PERFORM set_config(''session_authorization'', ''clinicq_dba'', false); END $$'),
    ('DO $$ BEGIN PERFORM set_config(''role'', ''clinicq_owner'', false); END $$'), ('ALTER SYSTEM SET log_statement = ''all'''), ('ALTER ROLE clinicq_owner SET search_path = pg_temp'), ('ALTER DATABASE clinicq SET search_path = pg_temp'),
    ('SET standard_conforming_strings = off'), ('SET transform_null_equals = on'), ('SET plan_cache_mode = force_generic_plan'), ('SET check_function_bodies = off'), ('SET default_transaction_isolation = serializable'), ('SET client_encoding = ''LATIN1'''),
-- Temporary objects with the names that functions use.
    ('CREATE TEMP TABLE app_user (id bigint, username text, password_hash text, roles text[], disabled_at timestamptz, password_expired boolean); INSERT INTO app_user VALUES (2, ''ben'', ''x'', ''{admin}'', NULL, false); SET search_path = pg_temp, clinicq'),
    ('CREATE TEMP TABLE session (id bigint, token_hash bytea, user_id bigint, expires_at timestamptz, last_used_at timestamptz, ends_at timestamptz)'), ('CREATE TEMP TABLE pg_roles (rolname name)'), ('CREATE TEMP TABLE pg_auth_members (roleid oid, member oid)'), ('CREATE TEMP TABLE pg_proc (oid oid, proname name)'),
    ('CREATE TEMP VIEW route AS SELECT ''GET''::text AS method, ''/api/users/''::text AS path, ''{anyone}''::text[] AS who'), ('CREATE TEMP VIEW pg_extension AS SELECT 1::oid AS oid, ''9''::text AS extversion, ''clinicq''::name AS extname'), ('CREATE TEMP TABLE setting (name text, value text)'),
    ('CREATE TEMP SEQUENCE registration_number_seq'), ('CREATE DOMAIN pg_temp.text AS pg_catalog.text; CREATE DOMAIN pg_temp.int8 AS pg_catalog.int4; SET search_path = pg_temp, pg_catalog'), ('CREATE TYPE pg_temp.reply AS (status int, body json, headers json); SET search_path = pg_temp, clinicq_api'),
-- Functions, operators, casts and aggregates.
    ('CREATE FUNCTION pg_temp.require_role(VARIADIC text[]) RETURNS void LANGUAGE sql AS ''SELECT NULL::void''; SET search_path = pg_temp, clinicq'), ('CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS ''SELECT NULL::timestamptz''; SET search_path = pg_temp, pg_catalog'),
    ('CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS ''SELECT $1''; SET search_path = pg_temp, pg_catalog'), ('CREATE FUNCTION pg_temp.list_users(text[], jsonb, text) RETURNS clinicq_api.reply LANGUAGE sql AS ''SELECT 200, NULL::json, NULL::json''; SET search_path = pg_temp, clinicq_api'),
    ('CREATE FUNCTION pg_temp.yes(bytea, bytea) RETURNS boolean LANGUAGE sql AS ''SELECT true''; CREATE OPERATOR pg_temp.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = pg_temp.yes); SET search_path = pg_temp, pg_catalog'),
    ('CREATE FUNCTION pg_temp.yes(text, text) RETURNS boolean LANGUAGE sql AS ''SELECT true''; CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.yes); SET search_path = pg_temp, pg_catalog'),
    ('CREATE FUNCTION pg_temp.yes(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS ''SELECT true''; CREATE OPERATOR pg_temp.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = pg_temp.yes); SET search_path = pg_temp, pg_catalog'),
    ('CREATE FUNCTION pg_temp.yes(text[], text[]) RETURNS boolean LANGUAGE sql AS ''SELECT true''; CREATE OPERATOR pg_temp.&& (LEFTARG = text[], RIGHTARG = text[], FUNCTION = pg_temp.yes); SET search_path = pg_temp, pg_catalog'),
    ('CREATE FUNCTION pg_temp.id(text) RETURNS bytea LANGUAGE sql AS ''SELECT NULL::bytea''; CREATE CAST (text AS bytea) WITH FUNCTION pg_temp.id(text) AS IMPLICIT'), ('CREATE AGGREGATE pg_temp.count(*) (SFUNC = int8inc, STYPE = int8, INITCOND = ''7''); SET search_path = pg_temp, pg_catalog'),
    ('CREATE FUNCTION pg_temp.definer() RETURNS int LANGUAGE sql SECURITY DEFINER SET role = ''clinicq_owner'' AS ''SELECT 1''; DO $$ BEGIN PERFORM pg_temp.definer(); END $$'), ('CREATE FUNCTION pg_temp.c() RETURNS int LANGUAGE c AS ''$libdir/clinicq'', ''clinicq_call'''),
    ('CREATE OR REPLACE FUNCTION clinicq_api.me(text[], jsonb, text) RETURNS clinicq_api.reply LANGUAGE sql AS ''SELECT 200, NULL::json, NULL::json'''), ('ALTER FUNCTION clinicq_api.call SECURITY INVOKER'), ('DROP FUNCTION clinicq_api.list_users'), ('CREATE FUNCTION public.planted() RETURNS int LANGUAGE sql AS ''SELECT 1'''),
    ('CREATE FUNCTION clinicq.planted() RETURNS int LANGUAGE sql AS ''SELECT 1'''), ('CREATE SCHEMA planted'), ('CREATE EXTENSION postgres_fdw'), ('CREATE EVENT TRIGGER planted ON ddl_command_end EXECUTE FUNCTION clinicq.forget_caches()'), ('CREATE TRIGGER planted AFTER INSERT ON clinicq.patient EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
    ('CREATE RULE planted AS ON SELECT TO clinicq.session DO INSTEAD SELECT 1'), ('CREATE TEMP TABLE child () INHERITS (clinicq.app_user)'), ('CREATE LANGUAGE plperlu'), ('LOAD ''clinicq'''),
-- Statements that are kept, cursors, transactions, blocks.
    ('PREPARE p AS SELECT 1; DEALLOCATE ALL'), ('DISCARD ALL'), ('DISCARD PLANS; DISCARD SEQUENCES'), ('PREPARE p AS SELECT * FROM clinicq.app_user; CREATE TEMP TABLE stolen AS EXECUTE p'), ('CREATE TEMP VIEW v AS SELECT * FROM clinicq.session; CREATE TEMP TABLE stolen AS SELECT * FROM v'),
    ('COPY clinicq.patient TO STDOUT'), ('COPY (SELECT 1) TO PROGRAM ''true'''), ('COPY pg_temp.x FROM ''/etc/passwd'''), ('CREATE TEMP TABLE x (line text); COPY x FROM ''/etc/passwd'''), ('CREATE TEMP TABLE x (line text); COPY x FROM PROGRAM ''id'''), ('LOCK TABLE clinicq.patient'),
    ('GRANT clinicq_admin TO CURRENT_USER'), ('ALTER ROLE CURRENT_USER SUPERUSER'), ('ALTER ROLE CURRENT_USER CREATEROLE'), ('CREATE ROLE planted'), ('GRANT SELECT ON clinicq.patient TO PUBLIC'), ('REASSIGN OWNED BY clinicq_owner TO CURRENT_USER'), ('ALTER TABLE clinicq.patient OWNER TO CURRENT_USER'), ('ALTER DEFAULT PRIVILEGES FOR ROLE clinicq_owner GRANT ALL ON TABLES TO PUBLIC'),
    ('LISTEN clinicq; NOTIFY clinicq, ''forged''; UNLISTEN *'), ('PREPARE TRANSACTION ''planted''');
CREATE TABLE tap.read_attempt (expression text);
INSERT INTO tap.read_attempt VALUES
    ('pg_read_file(''PG_VERSION'')'), ('pg_read_binary_file(''PG_VERSION'')::text'), ('pg_ls_dir(''.'')'), ('(pg_stat_file(''PG_VERSION'')).size::text'), ('lo_import(''/etc/passwd'')::text'), ('lo_export(1, ''/tmp/x'')::text'), ('pg_reload_conf()::text'), ('pg_rotate_logfile()::text'), ('pg_switch_wal()::text'),
    ('(SELECT max(passwd) FROM pg_shadow)'), ('(SELECT max(rolpassword) FROM pg_authid)'), ('(SELECT max(stavalues1::text) FROM pg_statistic)'), ('(SELECT max(sourcefile) FROM pg_file_settings)'), ('query_to_xml(''SELECT * FROM clinicq.patient'', true, true, '''')::text'), ('table_to_xml(''clinicq.session'', true, true, '''')::text'),
    ('(SELECT max(last_value)::text FROM clinicq.registration_number_seq)'), ('nextval(''clinicq.registration_number_seq'')::text'), ('pg_terminate_backend(' || pg_backend_pid() || ')::text'), ('pg_cancel_backend(' || pg_backend_pid() || ')::text'), ('pg_create_physical_replication_slot(''planted'')::text'), ('pg_logical_emit_message(true, ''x'', ''y'')::text || (SELECT max(name) FROM clinicq.patient)'),
    ('(SELECT max(changes::text) FROM clinicq.audit_event)'), ('(SELECT max(token_hash::text) FROM clinicq.refresh_token)'), ('(SELECT max(value) FROM clinicq.setting)'), ('(SELECT max(network::text) FROM clinicq.log_in_attempt)');

-- The shim: the list of users for a display, a token of nobody's, whoever ben is.
CREATE FUNCTION tap.call(route text, token text, what text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT %s FROM clinicq_api.call(%L, %L, NULL, NULL, NULL, NULL, NULL, NULL, NULL)', what, route, token)
$$;
SELECT ARRAY[tap.call('GET /api/users/', :'ben', 'status::pg_catalog.text'), tap.call('GET /api/auth/me/', repeat('0', 64), 'status::pg_catalog.text'), tap.call('GET /api/auth/me/', :'ben', 'reply::pg_catalog.text'),
    'SELECT pg_catalog.concat(session_user, '' '', current_user)'] AS questions \gset
SELECT '42501 28000 {"username":"ben","roles":["display"]} clinicq_shim clinicq_shim' AS honest \gset
SELECT is(tap.forge(:'shim_dsn', 'SET TimeZone = ''UTC''', :'questions'), '00000 ' || :'honest', 'a session of the shim that tries nothing');
SELECT format('SELECT matches(tap.forge(%L, %L, %L), %L, %L)', :'shim_dsn', statement, :'questions', '^(\w{5}) ' || regexp_replace(:'honest', '([][{}])', '\\\1', 'g') || '$', 'the shim: ' || left(statement, 110))
FROM tap.attempt
\gexec
SELECT format('SELECT is(tap.forge(%L, ''SET TimeZone = 0'', ARRAY[%L]), ''00000 42501'', %L)', d.dsn, 'SELECT ' || expression, d.who || ' may not read ' || expression)
FROM tap.read_attempt, (VALUES ('the shim', :'shim_dsn'), ('a doctor', :'doctor_dsn')) AS d (who, dsn)
\gexec

-- An identity lasts for its own transaction: kept plans, cursors and savepoints do not carry it over.
SELECT tap.call('GET /api/users/', :'ada', 'status') AS as_ada \gset
SELECT is(tap.forge(:'shim_dsn', format('CREATE TEMP TABLE seen AS %s', :'as_ada'), :'questions'), '00000 ' || :'honest', 'an admin''s request before it leaves nothing behind');
SELECT is(tap.forge(:'shim_dsn', format('BEGIN; CREATE TEMP TABLE seen AS %s; ROLLBACK', :'as_ada'), :'questions'), '00000 ' || :'honest', 'rolled back neither');
SELECT is(tap.forge(:'shim_dsn', format('BEGIN; DECLARE c CURSOR WITH HOLD FOR %s; COMMIT', :'as_ada'), :'questions'), '00000 ' || :'honest', 'nor held by a cursor');
SELECT is(split_part(tap.forge(:'shim_dsn', format('BEGIN; CREATE TEMP TABLE seen AS %s', :'as_ada'), :'questions'), ' ', 2), '55000', 'in its own transaction it serves no other request');
SELECT is(split_part(tap.forge(:'shim_dsn', format('BEGIN; SAVEPOINT s; CREATE TEMP TABLE seen AS %s; ROLLBACK TO s', :'as_ada'), :'questions'), ' ', 2), '55000', 'nor behind a savepoint');
SELECT is(tap.forge(:'shim_dsn', format('CREATE TEMP TABLE seen AS %s UNION ALL %s', :'as_ada', tap.call('GET /api/users/', :'ben', 'status')), :'questions'), '55000 ' || :'honest', 'nor in one statement');
SELECT is(tap.forge(:'shim_dsn', format('DO $b$ BEGIN PERFORM 1 FROM clinicq_api.call(''GET /api/users/'', %L, NULL, NULL, NULL, NULL, NULL, NULL, NULL); BEGIN PERFORM 1 FROM clinicq_api.call(''GET /api/users/'', %L, NULL, NULL, NULL, NULL, NULL, NULL, NULL); END; END $b$', :'ada', :'ben'), :'questions'), '55000 ' || :'honest', 'nor in a block');

-- What the role may do at all, from the catalogue.
SELECT set_eq($$
    SELECT p.oid::regprocedure::regproc::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname ~ '^clinicq' AND has_function_privilege('clinicq_shim', p.oid, 'EXECUTE') AND has_schema_privilege('clinicq_shim', n.oid, 'USAGE')
$$, ARRAY['clinicq_api.call', 'clinicq_api.catalogue', 'clinicq_api.gauges', 'clinicq_api.feed_advance', 'clinicq_api.feed'], 'the shim may call these functions of ClinicQ');
SELECT is_empty($$
    SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname ~ '^clinicq' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND has_table_privilege('clinicq_shim', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
$$, 'and reach no table or view');
SELECT is_empty($$ SELECT roleid::regrole FROM pg_auth_members WHERE member = 'clinicq_shim'::regrole $$, 'it is a member of nothing');
SELECT is_empty($$ SELECT FROM pg_roles WHERE rolname = 'clinicq_shim' AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) $$, 'and has no attribute');
SELECT is(tap.forge(:'shim_dsn', 'SET TimeZone = 0', ARRAY['SELECT count(*)::text FROM pg_stat_activity WHERE usename <> session_user AND query NOT IN ('''', ''<insufficient privilege>'')']), '00000 0', 'of others'' statements it sees none');
SELECT is(tap.forge(:'shim_dsn', 'SET TimeZone = 0', ARRAY['SELECT count(*)::text FROM pg_stats WHERE schemaname ~ ''^clinicq''']), '00000 0', 'nor what statistics know of rows');

-- A doctor in psql: what an administrator may, and whoever he is.
SELECT ARRAY['SELECT clinicq.create_user(''planted'', ''{admin}'')', 'SELECT clinicq.require_role(''admin'')::pg_catalog.text', 'SELECT pg_catalog.concat(a.door, '' '', a.name, '' '', a.roles::pg_catalog.text) FROM clinicq.current_actor() AS a'] AS questions \gset
SELECT '42501 42501 psql test_doctor {doctor}' AS honest \gset
SELECT is(tap.forge(:'doctor_dsn', 'SET TimeZone = ''UTC''', :'questions'), '00000 ' || :'honest', 'a doctor who tries nothing');
SELECT format('SELECT matches(tap.forge(%L, %L, %L), %L, %L)', :'doctor_dsn', statement, :'questions', '^(\w{5}) ' || regexp_replace(:'honest', '([][{}])', '\\\1', 'g') || '$', 'a doctor: ' || left(statement, 110))
FROM tap.attempt
\gexec

SELECT is((SELECT count(*) FROM pg_roles WHERE rolname = 'planted') + (SELECT count(*) FROM pg_proc WHERE proname = 'planted') + (SELECT count(*) FROM pg_namespace WHERE nspname = 'planted') + (SELECT count(*) FROM clinicq.app_user WHERE username = 'planted'), 0::bigint, 'nothing was planted');
SELECT is((SELECT string_agg(username || roles::text, ' ' ORDER BY id) FROM clinicq.app_user), 'ada{admin} ben{display}', 'and users are who they were');

SELECT * FROM finish();
