-- Proves who may do what: each function refuses, with 42501 and before it looks at its arguments,
-- exactly the roles that its comment does not name, and each route those that clinicq.route.who does
-- not name. The lists come from the catalogue: a new function or route is tried without being named.
SELECT no_plan();

CREATE TABLE tap.role (role text);
INSERT INTO tap.role VALUES ('admin'), ('doctor'), ('assistant'), ('display'), ('auditor'), ('reporter'), ('nobody');

-- What a role without any ClinicQ role is refused by the functions themselves, not for want of EXECUTE.
GRANT USAGE ON SCHEMA clinicq TO test_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA clinicq TO test_nobody;

-- Every function of schema clinicq with a statement that calls it with nothing but NULLs, and the
-- roles that its comment names. migrate() and its steps are procedures.
CREATE TABLE tap.func AS
    SELECT p.proname AS name,
        format('SELECT 1 FROM clinicq.%I(%s)', p.proname, coalesce((
            SELECT string_agg(CASE WHEN p.provariadic <> 0 THEN 'VARIADIC ' ELSE '' END
                || 'NULL::' || format_type(t, NULL), ', ' ORDER BY n)
            FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)), '')) AS statement,
        substring(obj_description(p.oid, 'pg_proc') FROM 'Who: (.*)\.$') AS who
    FROM pg_proc p
    WHERE p.pronamespace = 'clinicq'::regnamespace AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype;

SELECT is_empty($$ SELECT name FROM tap.func WHERE who IS NULL $$, 'the comment of every function ends with Who: ...');
SELECT set_eq($$ SELECT name::text FROM tap.func WHERE who ~ '^everybody' $$,
    ARRAY['current_actor', 'require_role', 'settings', 'service_day', 'log_in', 'log_out'],
    'only these functions need no role');
SELECT set_eq($$ SELECT name::text FROM tap.func WHERE who = 'the owner' $$,
    ARRAY['forget_caches', 'lock_migration'], 'only these functions are for the owner');
SELECT is_empty($$
    SELECT name, who FROM tap.func
    WHERE who !~ '^(everybody.*|the owner|any role|(admin|doctor|assistant|display|auditor|reporter)(, (admin|doctor|assistant|display|auditor|reporter))*(; doctor where the setting doctors_open_visits is on)?)$'
$$, 'every comment names roles and nothing else');

SELECT is(
    tap.state(r.role, f.statement) = '42501',
    CASE
        WHEN f.who ~ '^everybody' THEN false
        WHEN f.who = 'the owner' THEN r.role <> 'nobody'
        WHEN f.who = 'any role' THEN r.role = 'nobody'
        ELSE NOT r.role = ANY (regexp_split_to_array(split_part(f.who, ';', 1), ', '))
    END,
    format('clinicq.%s() %s %s', f.name,
        CASE WHEN tap.state(r.role, f.statement) = '42501' THEN 'refuses' ELSE 'lets in' END, r.role))
FROM tap.func f, tap.role r
WHERE f.who IS NOT NULL AND NOT (f.who = 'the owner' AND r.role = 'nobody')
ORDER BY f.name, r.role;

-- The refusal says which roles would do.
SELECT is(tap.act('display', $$ SELECT clinicq.register_patient('Ada') $$),
    '42501: this needs one of these roles: admin, doctor, assistant', 'a refusal names the roles that would do');
SELECT is(tap.act('nobody', $$ SELECT clinicq.require_role('doctor', 'auditor') $$),
    '42501: this needs one of these roles: doctor, auditor', 'require_role() names the roles it was given');
SELECT is(tap.state('auditor', $$ SELECT clinicq.require_role('doctor', 'auditor') $$), '00000',
    'require_role() lets one of them in');
SELECT is(tap.state('auditor', $$ SELECT clinicq.require_role('nurse') $$), '22023',
    'require_role() does not take an unknown role for one that somebody has');
SELECT is(tap.state('auditor', $$ SELECT clinicq.require_role(VARIADIC '{}') $$), '42501',
    'require_role() of no role lets nobody in');

-- Schemas and tables.
SELECT is(tap.state(r.role, s.statement),
    CASE WHEN s.for_auditor AND r.role = 'auditor' THEN '00000' ELSE '42501' END,
    format('%s: %s', r.role, s.statement))
FROM tap.role r, (VALUES
    ('SELECT * FROM clinicq.patient', false),
    ('SELECT * FROM clinicq.session', false),
    ('INSERT INTO clinicq.queue (clinic_id, name) VALUES (1, ''x'')', false),
    ('UPDATE clinicq.setting SET value = ''on''', false),
    ('DELETE FROM clinicq.visit', false),
    ('TRUNCATE clinicq.audit_event', false),
    ('SELECT nextval(''clinicq.registration_number_seq'')', false),
    ('CREATE TABLE clinicq.planted ()', false),
    ('CREATE TRIGGER planted AFTER INSERT ON clinicq.patient EXECUTE FUNCTION clinicq.audit_row(''id'')', false),
    ('CALL clinicq.migrate()', false),
    ('SELECT * FROM clinicq_api.call(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)', false),
    ('SELECT clinicq_api.catalogue()', false),
    ('SELECT clinicq_api.gauges()', false),
    ('SELECT clinicq_api.feed_advance()', false),
    ('SELECT clinicq_api.feed(0, 1)', false),
    ('SELECT clinicq_api.take_deliveries(''{sms}'', ''{1}'')', false),
    ('SELECT clinicq_api.delivery_image(1, 1, 0, 1)', false),
    ('SELECT * FROM clinicq_api.list_users(NULL, NULL, NULL)', false),
    ('SELECT * FROM clinicq_audit.event', true)
) AS s (statement, for_auditor)
ORDER BY s.statement, r.role;

-- Routes: a session of each role, and one of a user with no role, at every route.
INSERT INTO clinicq.app_user (username, password_hash, roles) VALUES ('target', 'none', '{}');
CREATE TABLE tap.session AS
    SELECT role, tap.user(role, CASE role WHEN 'nobody' THEN '{}' ELSE ARRAY[role] END) AS token FROM tap.role;
SELECT isnt_empty('SELECT * FROM clinicq.route', 'there are routes');
SELECT format('SELECT is(tap.http(%L, %L, %L, %L)->>''sqlstate'' IS NOT DISTINCT FROM ''42501'', %L, %L)',
    r.method || ' ' || r.path, s.token,
    CASE WHEN r.path ~ '\{' THEN ARRAY['999999'] END,
    CASE r.body WHEN 'fields' THEN '{}' END,
    NOT (r.who && ARRAY[s.role, 'any', 'anyone']),
    format('%s %s: %s %s', r.method, r.path, s.role,
        CASE WHEN r.who && ARRAY[s.role, 'any', 'anyone'] THEN 'may' ELSE 'may not' END))
FROM clinicq.route r, tap.session s
WHERE r.path NOT LIKE '/api/auth/logout%'
ORDER BY r.path, r.method, s.role
\gexec
SELECT format('SELECT is(tap.http(%L, NULL, %L, %L)->>''sqlstate'' IS NOT DISTINCT FROM ''28000'', %L, %L)',
    r.method || ' ' || r.path, CASE WHEN r.path ~ '\{' THEN ARRAY['999999'] END,
    CASE r.body WHEN 'fields' THEN '{}' END, r.who <> '{anyone}',
    format('%s %s without a token: %s', r.method, r.path, CASE r.who WHEN '{anyone}' THEN 'may' ELSE '28000' END))
FROM clinicq.route r
ORDER BY r.path, r.method
\gexec
SELECT format('SELECT is(tap.http(''POST /api/auth/logout/'', %L)->>''status'', ''204'', %L)',
    s.token, s.role || ' may log out')
FROM tap.session s ORDER BY s.role
\gexec

-- Every routed function has a comment and roles that say the same as its route.
SELECT is_empty($$
    SELECT r.function, r.who, obj_description(to_regprocedure(r.function || '(text[],jsonb,text)'), 'pg_proc')
    FROM clinicq.route r
    WHERE substring(obj_description(to_regprocedure(r.function || '(text[],jsonb,text)'), 'pg_proc') FROM 'Who: (.*)\.$')
        IS DISTINCT FROM CASE r.who WHEN '{any}' THEN 'any valid token' WHEN '{anyone}' THEN 'everybody'
            ELSE array_to_string(r.who, ', ') END
$$, 'comments of routed functions and clinicq.route.who say the same');
SELECT is_empty($$
    SELECT p.oid::regprocedure FROM pg_proc p
    WHERE p.pronamespace = 'clinicq_api'::regnamespace AND p.proname NOT IN ('call', 'catalogue', 'gauges', 'feed_advance', 'feed',
            'delivery_settings', 'take_deliveries', 'renew_delivery', 'delivery_done', 'delivery_failed', 'delivery_image')
        AND 'clinicq_api.' || p.proname NOT IN (SELECT unnest(ARRAY[function, before]) FROM clinicq.route WHERE function IS NOT NULL AND before IS NOT NULL UNION SELECT intake FROM clinicq.route WHERE intake IS NOT NULL UNION SELECT function FROM clinicq.route)
$$, 'every function of clinicq_api has a route');

SELECT * FROM finish();
