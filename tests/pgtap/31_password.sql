-- Proves that the slots in which passwords are hashed are those of the whole cluster: one that is taken in
-- another database is taken here.
SELECT no_plan();

SELECT current_database() || '_other' AS other \gset
CREATE DATABASE :other TEMPLATE clinicq;
CREATE EXTENSION dblink SCHEMA tap;
\getenv password PGPASSWORD
\getenv host PGHOST
\getenv port PGPORT
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s password=%s', :'host', :'port', :'other', :'password')) \g /dev/null
SELECT dblink_exec('other', 'SET client_min_messages = error; SET ROLE clinicq_admin') \g /dev/null
SELECT v FROM dblink('other', $$ SELECT clinicq.set_setting(n, s)::text FROM (VALUES ('password_memory_kib', '393216'), ('password_iterations', '20'), ('password_hash_slots', '1')) AS v (n, s) $$) AS t (v text) \g /dev/null
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''password_hash_slots'', ''1'')');

CREATE FUNCTION tap.slots() RETURNS SETOF pg_catalog.pg_locks LANGUAGE sql AS $$
    SELECT l FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.objsubid = 4 AND l.granted AND a.datname = current_database() || '_other'
$$;
CREATE FUNCTION tap.taken() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 1000 LOOP
        PERFORM pg_stat_clear_snapshot();
        IF EXISTS (SELECT FROM tap.slots()) THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.005);
    END LOOP;
    RETURN false;
END
$$;
SELECT is(dblink_send_query('other', $$ SELECT clinicq.create_user('ada', '{doctor}', 'one tall giraffe 77') $$), 1, 'a password is hashed in another database, for long');
SELECT ok(tap.taken(), 'which takes a slot');
SELECT results_eq('SELECT database, objid FROM tap.slots()', $$ VALUES (0::oid, 0::oid) $$, 'the first one, of no database');
SELECT is(tap.state('admin', $$ SELECT clinicq.create_user('ben', '{doctor}', 'one tall giraffe 77') $$), 'QC429', 'with one slot none is left here');
SELECT is((SELECT count(*) FROM tap.slots()), 1::bigint, 'for it was taken all the while');
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''password_hash_slots'', ''2'')');
SELECT is(tap.state('admin', $$ SELECT clinicq.create_user('ben', '{doctor}', 'one tall giraffe 77') $$), '00000', 'with two there is');
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''password_hash_slots'', ''1'')');
SELECT is((SELECT v FROM dblink_get_result('other') AS t (v text)), NULL, 'the other database is done');
SELECT is((SELECT count(*) FROM tap.slots()), 0::bigint, 'and gives the slot back');
SELECT is(tap.state('admin', $$ SELECT clinicq.create_user('cleo', '{doctor}', 'one tall giraffe 77') $$), '00000', 'which serves here again');
SELECT dblink_disconnect('other') \g /dev/null
DROP DATABASE :other;

SELECT * FROM finish();
