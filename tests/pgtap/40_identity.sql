-- Proves who the actor is: in psql session_user with the rights of the current role; over HTTP whoever holds
-- the token, until the transaction ends and no longer. And that nothing a session can set, create or plant
-- gives it another identity.
SELECT no_plan();

SELECT tap.user('ada', '{admin}') AS ada, tap.user('ben', '{display}') AS ben \gset
CREATE FUNCTION tap.actor() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', door, coalesce(user_id::text, '-'), name, roles) FROM clinicq.current_actor()
$$;
GRANT USAGE ON SCHEMA clinicq TO test_nobody, clinicq_shim;
GRANT EXECUTE ON FUNCTION clinicq.current_actor, clinicq.require_role TO test_nobody, clinicq_shim;

-- psql.
SELECT is(tap.act(r, 'SELECT tap.actor()'), format('psql - test_%s {%s}', r, r), r || ' in psql')
FROM unnest(ARRAY['admin', 'doctor', 'assistant', 'display', 'auditor', 'reporter']) AS r;
SELECT is(tap.act('nobody', 'SELECT tap.actor()'), 'psql - test_nobody {}', 'a login role without a ClinicQ role');
CREATE ROLE test_two LOGIN IN ROLE clinicq_doctor, clinicq_auditor;
SELECT is(tap.act('two', 'SELECT tap.actor()'), 'psql - test_two {doctor,auditor}', 'two roles');
CREATE ROLE test_group IN ROLE clinicq_assistant;
CREATE ROLE test_nested LOGIN IN ROLE test_group;
SELECT is(tap.act('nested', 'SELECT tap.actor()'), 'psql - test_nested {assistant}', 'a role by way of another');
CREATE ROLE test_careful LOGIN NOINHERIT IN ROLE clinicq_admin;
GRANT USAGE ON SCHEMA clinicq TO test_careful;
GRANT EXECUTE ON FUNCTION clinicq.current_actor, clinicq.require_role TO test_careful;
SELECT is(tap.act('careful', 'SELECT tap.actor()'), 'psql - test_careful {}', 'a role that is not inherited does not count');
BEGIN;
SET LOCAL SESSION AUTHORIZATION test_careful;
SET LOCAL ROLE clinicq_admin;
SELECT is(tap.actor(), 'psql - test_careful {admin}', 'until it is SET');
ROLLBACK;
BEGIN;
SET LOCAL SESSION AUTHORIZATION test_two;
SET LOCAL ROLE clinicq_auditor;
SELECT is(tap.actor(), 'psql - test_two {auditor}', 'SET ROLE to a lesser role is honoured; the name stays');
SELECT throws_ok('SELECT clinicq.require_role(''doctor'')', '42501', NULL, 'and what it may not is refused');
ROLLBACK;
SELECT is(tap.act('dba', 'SELECT tap.actor()'), 'psql - clinicq_dba {admin}', 'a DBA');

-- A SECURITY DEFINER function of somebody else does not lend its owner's roles.
CREATE FUNCTION tap.lent() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT tap.actor() $$;
CREATE FUNCTION tap.lent_admin() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT clinicq.require_role('admin') $$;
SELECT is(tap.act('display', 'SELECT tap.lent()'), 'psql - test_display {display}', 'a definer of a superuser is still the caller');
SELECT is(tap.state('display', 'SELECT tap.lent_admin()'), '42501', 'with the caller''s rights');

-- HTTP. The dba may call both call() and current_actor(), in one transaction.
CREATE FUNCTION tap.me(token text) RETURNS text LANGUAGE sql AS $$
    SELECT status::text FROM clinicq_api.call('GET /api/auth/me/', token, NULL, NULL, NULL, NULL, 'rid-1', '192.0.2.1', NULL)
$$;
BEGIN;
SET LOCAL SESSION AUTHORIZATION clinicq_dba;
SELECT is(tap.me(:'ada') || ' ' || tap.actor(), '200 http 1 ada {admin}', 'call() sets the identity');
SELECT is(tap.actor(), 'http 1 ada {admin}', 'for the rest of the transaction');
SELECT throws_ok(format('SELECT tap.me(%L)', :'ben'), '55000', 'this transaction has served a request already', 'a second call is refused');
SELECT is(tap.actor(), 'http 1 ada {admin}', 'and changes nothing');
COMMIT;
SELECT is(tap.act('dba', 'SELECT tap.actor()'), 'psql - clinicq_dba {admin}', 'COMMIT ends it');
BEGIN;
SET LOCAL SESSION AUTHORIZATION clinicq_dba;
SELECT is(tap.me(:'ben'), '200', 'a call');
SELECT is(tap.actor(), 'http 2 ben {display}', 'of a display');
SELECT throws_ok('SELECT clinicq.require_role(''admin'')', '42501', NULL, 'a DBA has no right beyond the user''s');
ROLLBACK;
SELECT is(tap.act('dba', 'SELECT tap.actor()'), 'psql - clinicq_dba {admin}', 'ROLLBACK ends it');
BEGIN;
SET LOCAL SESSION AUTHORIZATION clinicq_dba;
SAVEPOINT here;
SELECT is(tap.me(:'ada'), '200', 'a call in a savepoint');
ROLLBACK TO here;
SELECT throws_ok(format('SELECT tap.me(%L)', :'ben'), '55000', NULL, 'is the only one of its transaction, rolled back or not');
ROLLBACK;
BEGIN;
SET LOCAL SESSION AUTHORIZATION clinicq_dba;
SELECT throws_ok('SELECT tap.me(''x'')', '28000', NULL, 'a refused call');
SELECT is(tap.actor(), 'http - anonymous {}', 'leaves a transaction that is nobody''s');
SELECT throws_ok('SELECT clinicq.require_role(VARIADIC ''{admin,doctor,assistant,display,auditor,reporter}'')', '42501', NULL, 'with no right at all');
SELECT throws_ok(format('SELECT tap.me(%L)', :'ada'), '55000', NULL, 'and no second try');
ROLLBACK;
SET SESSION AUTHORIZATION clinicq_dba;
SELECT tap.me(:'ada') \g /dev/null
SELECT is(tap.actor(), 'psql - clinicq_dba {admin}', 'a call that is a statement of its own ends with it');
RESET SESSION AUTHORIZATION;

CREATE EXTENSION dblink SCHEMA tap;
\getenv password PGPASSWORD
\getenv host PGHOST
\getenv port PGPORT
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s password=%s', :'host', :'port', current_database(), :'password')) \g /dev/null
SELECT dblink_exec('other', 'BEGIN') \g /dev/null
SELECT is(me, '200', 'a request in a transaction') FROM dblink('other', format('SELECT tap.me(%L)', :'ada')) AS t (me text);
SELECT throws_ok($$ SELECT dblink_exec('other', 'PREPARE TRANSACTION ''request''') $$, '55000', 'a transaction that serves a request cannot be prepared',
    'that cannot be prepared');
SELECT is(actor, 'psql - postgres {admin,doctor,assistant,display,auditor,reporter}', 'which ends it')
FROM dblink('other', 'SELECT tap.actor()') AS t (actor text);
SELECT is((SELECT count(*) FROM pg_prepared_xacts), 0::bigint, 'nothing is prepared');
SELECT is(tap.act('dba', 'SELECT tap.actor()'), 'psql - clinicq_dba {admin}', 'and the identity is gone');

-- What a session of the shim can do to seem somebody else.
CREATE FUNCTION tap.attack(statement text, request text DEFAULT 'GET /api/users/') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    me text := session_user;
    answer text;
BEGIN
    BEGIN
        PERFORM set_config('session_authorization', 'clinicq_shim', true);
        EXECUTE statement;
        SELECT c.status::text INTO answer FROM clinicq_api.call(request, encode(sha256('ben'), 'hex'), NULL, NULL, NULL, NULL, NULL, NULL, NULL) AS c;
        PERFORM set_config('session_authorization', me, true);
    EXCEPTION WHEN OTHERS THEN
        answer := SQLSTATE;
    END;
    RETURN answer;
END
$$;
GRANT TEMPORARY ON DATABASE :DBNAME TO clinicq_shim;
-- A setting of that name cannot even be made once the library is loaded.
SELECT format('SELECT is(tap.attack(%L), %L, %L)', s, CASE WHEN s ~ 'clinicq\.(user_id|roles)' THEN '42602' ELSE '42501' END, 'no forgery: ' || left(s, 90)) FROM unnest(ARRAY[
    'SELECT 1',
    'SET LOCAL clinicq.user_id = ''1''',
    'SELECT set_config(''clinicq.user_id'', ''1'', true), set_config(''clinicq.roles'', ''{admin}'', true), set_config(''clinicq.actor'', ''ada'', true)',
    'SET LOCAL search_path = pg_temp, public',
    'SET LOCAL ROLE clinicq_admin',
    'SET LOCAL SESSION AUTHORIZATION clinicq_dba',
    'SET LOCAL session_replication_role = replica',
    'SET LOCAL row_security = off',
    'CREATE TEMP TABLE app_user (id bigint, username text, roles text[], disabled_at timestamptz); INSERT INTO app_user VALUES (2, ''ben'', ''{admin}'')',
    'CREATE TEMP TABLE session (token_hash bytea, user_id bigint, expires_at timestamptz, last_used_at timestamptz)',
    'CREATE TEMP VIEW pg_extension AS SELECT 1 AS oid, ''9''::text AS extversion, ''clinicq''::text AS extname',
    'CREATE TEMP TABLE route (method text, path text, function text, who text[])',
    'CREATE FUNCTION pg_temp.require_role(VARIADIC text[]) RETURNS void LANGUAGE sql AS ''SELECT NULL::void''; SET LOCAL search_path = pg_temp',
    'CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS ''SELECT NULL::timestamptz''; SET LOCAL search_path = pg_temp, pg_catalog',
    'CREATE FUNCTION pg_temp.always(bytea, bytea) RETURNS boolean LANGUAGE sql AS ''SELECT true''; CREATE OPERATOR pg_temp.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = pg_temp.always); SET LOCAL search_path = pg_temp, pg_catalog',
    'CREATE FUNCTION pg_temp.always(text, text) RETURNS boolean LANGUAGE sql AS ''SELECT true''; CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.always); SET LOCAL search_path = pg_temp, pg_catalog',
    'CREATE FUNCTION pg_temp.list_users(text[], jsonb, text) RETURNS clinicq_api.reply LANGUAGE sql AS ''SELECT 200, NULL::json, NULL::json''; SET LOCAL search_path = pg_temp, clinicq_api',
    'SET LOCAL enable_indexscan = off; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL standard_conforming_strings = off; SET LOCAL quote_all_identifiers = on'
]) AS s
\gexec
SELECT is(tap.attack('CREATE TEMP TABLE app_user (id bigint); SET LOCAL TimeZone = ''Pacific/Kiritimati''; SET LOCAL DateStyle = ''German''; SET LOCAL IntervalStyle = ''sql_standard''; SET LOCAL bytea_output = ''escape''; SET LOCAL extra_float_digits = 0', 'GET /api/auth/me/'),
    '200', 'nor does a session''s setting stop an honest request');

-- What else the shim's role can reach.
SELECT is(tap.state('shim', s), '42501', 'the shim may not ' || s) FROM unnest(ARRAY[
    'SELECT * FROM clinicq.session', 'SELECT * FROM clinicq.app_user', 'SELECT * FROM clinicq_audit.event', 'SELECT clinicq.setting(''display_names'')',
    'SELECT clinicq.log_in(''ada'', ''x'')', 'SELECT * FROM clinicq_api.list_users(NULL, NULL, NULL)', 'SELECT * FROM clinicq_api.me(NULL, NULL, NULL)',
    'CALL clinicq.migrate()', 'SELECT clinicq.forget_caches()', 'CREATE FUNCTION clinicq_api.planted() RETURNS int LANGUAGE sql AS ''SELECT 1''',
    'CREATE TABLE clinicq.planted ()', 'UPDATE clinicq.route SET who = ''{anyone}''', 'CREATE ROLE planted', 'ALTER ROLE clinicq_shim SUPERUSER',
    'SELECT pg_read_file(''postgresql.conf'')', 'COPY (SELECT 1) TO PROGRAM ''true''']) AS s;
SELECT is(tap.act('shim', 'SELECT tap.actor()'), 'psql - clinicq_shim {}', 'and has no role of its own');

-- A parallel worker would not know the identity.
SELECT is_empty($$
    SELECT p.oid::regprocedure FROM pg_proc p
    WHERE p.pronamespace IN ('clinicq'::regnamespace, 'clinicq_api'::regnamespace) AND p.prosecdef AND p.proparallel = 's' AND p.proname <> 'settings'
$$, 'no function that may read it is PARALLEL SAFE');

SELECT * FROM finish();
