-- Proves clinicq_api.call(): who is let in with which token, how sessions slide, the order of its checks, and
-- that a DBA adds an endpoint with a function and a row, a broken one of which harms no other.
SELECT no_plan();

SELECT tap.user('ada', '{admin}') AS ada, tap.user('ben', '{display}') AS ben, tap.user('cleo', '{display,doctor}') AS cleo \gset
CREATE FUNCTION tap.me(token text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(a->>'sqlstate', a->'body'->>'username') FROM tap.http('GET /api/auth/me/', token) AS a
$$;
CREATE FUNCTION tap.session_of(name text) RETURNS clinicq.session LANGUAGE sql AS $$
    SELECT s FROM clinicq.session s JOIN clinicq.app_user u ON u.id = s.user_id WHERE u.username = $1
$$;

-- Tokens.
SELECT is(tap.me(:'ada'), 'ada', 'a valid token');
SELECT is(tap.http('GET /api/auth/me/', :'ada')->>'actor', '1', 'the answer names the actor for the log');
SELECT format('SELECT is(tap.me(%L), ''28000'', %L)', t, format('no token: %s', coalesce(left(t, 10), 'NULL'))) FROM unnest(ARRAY[NULL, '', 'x', repeat('0', 64), upper(:'ada'), :'ada' || '0',
    left(:'ada', 63), ' ' || left(:'ada', 63), left(:'ada', 63) || 'g', '\x' || left(:'ada', 62), repeat('a', 100000)]) AS t
\gexec
SELECT is(tap.http('GET /api/auth/me/', NULL)->>'message', 'authentication credentials were not provided', 'no token at all has its own words');

-- Order of checks: token, method, role, body.
SELECT is(tap.http(NULL, NULL)->>'sqlstate', '28000', 'a wrong method without a token is 28000');
SELECT is(tap.http(NULL, :'ada')->>'sqlstate', 'QC405', 'with a token QC405');
SELECT is(tap.http('GET /api/nothing/', NULL)->>'sqlstate', 'P0002', 'an unknown route');
SELECT is(tap.http('POST /api/queues/', NULL, NULL, '{', NULL, 'media-type')->>'sqlstate', '28000', 'token before body');
SELECT is(tap.http('POST /api/queues/', :'ben', NULL, NULL, NULL, 'media-type')->>'sqlstate', '42501', 'role before body');
SELECT is(tap.http('POST /api/queues/', :'ada', NULL, NULL, NULL, f)->>'sqlstate', s, 'body: ' || f) FROM (VALUES ('media-type', 'QC415')) AS v (f, s);
SELECT is(tap.http('POST /api/queues/', :'ada', NULL, NULL, NULL, 'encoding')->>'sqlstate', 'QC400', 'body: encoding');
SELECT is(tap.http('POST /api/queues/', :'ada', NULL, NULL, NULL, 'form')->>'sqlstate', 'QC400', 'body: form');
SELECT is(tap.http('GET /api/health/', 'nonsense')->'body'->>'status', 'ok', 'an open route ignores the token');
SELECT is(tap.http('GET /api/health/', :'ada')->>'actor', NULL, 'whoever holds it');

SELECT format('SELECT is(tap.http(''GET /api/patients/'', %L, NULL, NULL, %L)->>''sqlstate'', ''QC400'', %L)', :'ada', q, 'a query that is no object: ' || q)
FROM unnest(ARRAY['[]', '["q", "x"]', '"q"', '5', 'null']) AS q
\gexec
SELECT is(tap.http('GET /api/patients/{registration_number}/', :'ada', p)->>'sqlstate', 'P0002', 'a path without its value')
FROM unnest(ARRAY[NULL::text]) AS t, LATERAL (SELECT ARRAY[t]) AS v (p);
SELECT is(tap.http('GET /api/patients/{registration_number}/', :'ada', '{}')->>'sqlstate', 'P0002', 'or without any');
SELECT is(tap.http('GET /api/health/', NULL, request_id => repeat('é', 1000), client => '10.0.0.0/8')->>'status', '200', 'any request id and address');

-- Sessions slide, and are written at most once a minute.
CREATE FUNCTION tap.age(name text, seconds int) RETURNS void LANGUAGE sql AS $$
    UPDATE clinicq.session s SET last_used_at = now() - make_interval(secs => seconds), expires_at = now() + interval '5 minutes'
    FROM clinicq.app_user u WHERE u.id = s.user_id AND u.username = $1
$$;
SELECT tap.age('ada', 59) \g /dev/null
SELECT xmin::text AS before FROM clinicq.session WHERE user_id = 1 \gset
SELECT is(tap.me(:'ada'), 'ada', 'used 59 seconds after the last time');
SELECT is((SELECT xmin::text FROM clinicq.session WHERE user_id = 1), :'before'::text, 'a session is not written');
SELECT tap.age('ada', 61) \g /dev/null
SELECT is(tap.me(:'ada'), 'ada', 'used after 61 seconds');
SELECT is((SELECT now() - last_used_at < interval '10 seconds' FROM tap.session_of('ada')), true, 'it is');
SELECT is((SELECT round(extract(epoch FROM expires_at - now()) / 60) FROM tap.session_of('ada')), 720::numeric, 'and slides by session_minutes');
SELECT tap.age('ben', 61), tap.age('cleo', 61) \g /dev/null
SELECT is(tap.me(:'ben'), 'ben', 'a display');
SELECT is((SELECT round(extract(epoch FROM expires_at - now()) / 60) FROM tap.session_of('ben')), 43200::numeric, 'slides by what the setting says of displays');
SELECT is(tap.me(:'cleo'), 'cleo', 'a display who is a doctor too');
SELECT is((SELECT round(extract(epoch FROM expires_at - now()) / 60) FROM tap.session_of('cleo')), 720::numeric, 'does not');
UPDATE clinicq.session SET expires_at = now() WHERE user_id = 3;
SELECT is(tap.me(:'cleo'), '28000', 'a session past its time has ended');
SELECT is((SELECT expires_at <= now() FROM tap.session_of('cleo')), true, 'and does not slide back to life');
UPDATE clinicq.session SET expires_at = now() + interval '1 hour' WHERE user_id = 3;
UPDATE clinicq.app_user SET disabled_at = now() WHERE id = 3;
SELECT is(tap.me(:'cleo'), '28000', 'a disabled user has no session, whatever row is left');
UPDATE clinicq.app_user SET disabled_at = NULL, roles = '{doctor}' WHERE id = 3;
SELECT is(tap.http('GET /api/auth/me/', :'cleo')->'body'->'roles', '["doctor"]'::jsonb, 'roles are those of this moment');

-- A DBA's own endpoint.
SET SESSION AUTHORIZATION clinicq_dba;
SET ROLE clinicq_owner;
CREATE FUNCTION clinicq_api.echo(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql STABLE AS $$
    SELECT 200, json_build_object('path', path, 'query', query, 'body', body, 'actor', (clinicq.current_actor()).name), json_build_object('X-Echo', 'yes')
$$;
INSERT INTO clinicq.route (method, path, function, class, body, who, summary)
    VALUES ('POST', '/api/echo/{a}/{b}/', 'clinicq_api.echo', 'read', 'fields', '{any}', 'Echo.');
RESET SESSION AUTHORIZATION;
SELECT is(tap.http('POST /api/echo/{a}/{b}/', :'ben', ARRAY['ü', ''], '{"x": 1}', '{"q": "1"}'),
    '{"actor": 2, "status": 200, "headers": {"X-Echo": "yes"}, "body": {"path": ["ü", ""], "query": {"q": "1"}, "body": "{\"x\": 1}", "actor": "ben"}}'::jsonb,
    'a function and a row make an endpoint, in a session that has served others before');
SELECT is(tap.http('POST /api/echo/{a}/{b}/', NULL)->>'sqlstate', '28000', 'which needs a token');

-- While a request runs its session is named after it; afterwards as before.
SET SESSION AUTHORIZATION clinicq_dba;
SET ROLE clinicq_owner;
CREATE FUNCTION clinicq_api.name(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql STABLE AS $$
    SELECT 200, to_json(ARRAY[current_setting('application_name'), (SELECT a.application_name FROM pg_catalog.pg_stat_activity a WHERE a.pid = pg_catalog.pg_backend_pid())]), NULL::json
$$;
INSERT INTO clinicq.route (method, path, function, class, who, summary) VALUES ('GET', '/api/name/', 'clinicq_api.name', 'read', '{anyone}', 'Name.');
RESET SESSION AUTHORIZATION;
CREATE FUNCTION tap.name(request text, trace text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    names text[];
BEGIN
    SET LOCAL SESSION AUTHORIZATION clinicq_shim;
    SELECT ARRAY(SELECT json_array_elements_text(reply)) INTO names
        FROM clinicq_api.call('GET /api/name/', NULL, NULL, NULL, NULL, NULL, request, NULL, NULL, NULL, trace);
    RETURN CASE WHEN names[1] = names[2] THEN names[1] ELSE names::text END;
END
$$;
SET application_name = 'clinicq-shim';
SELECT format('SELECT is(tap.name(%L, %L), %L, %L)', request, trace, name, what) FROM (VALUES
    ('rid-1', NULL, 'clinicq-shim rid-1', 'by its request id'), ('rid-1', repeat('5e', 16), 'clinicq-shim ' || repeat('5e', 16), 'by the trace where there is one'),
    (NULL, NULL, 'clinicq-shim', 'not at all without either'), ('', NULL, 'clinicq-shim ', 'an empty id'), (repeat('i', 50), NULL, 'clinicq-shim ' || repeat('i', 50), 'by an id that fits'),
    (repeat('i', 51), NULL, 'clinicq-shi ' || repeat('i', 51), 'of a longer id all, and less of the session''s own name'), (repeat('i', 62), NULL, ' ' || repeat('i', 62), 'then none of that'),
    (repeat('i', 64), NULL, repeat('i', 63), 'then no more than there is room for'), ('a' || chr(10) || 'b', NULL, 'clinicq-shim a' || CASE WHEN current_setting('server_version_num')::int < 160000 THEN '?' ELSE '\x0a' END || 'b', 'without a line''s end')) AS v (request, trace, name, what) \gexec
SELECT is(current_setting('application_name'), 'clinicq-shim', 'then the session has its own name again');
SELECT is((SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()), 'clinicq-shim', 'for others too');
SET application_name = '';
SELECT is(tap.name('rid-1', NULL), 'rid-1', 'a session without a name');
RESET application_name;
SELECT is((SELECT count(*) FROM json_array_elements(tap.act('shim', 'SELECT clinicq_api.catalogue()')::json->'routes') AS r WHERE r->>'key' = 'POST /api/echo/{a}/{b}/'), 1::bigint, 'and is in the catalogue');
SELECT is(tap.http('GET /api/openapi.json', NULL)->'body'->'paths'->'/api/echo/{a}/{b}/'->'post'->>'summary', 'Echo.', 'and in the description');
CREATE OR REPLACE FUNCTION clinicq_api.echo(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql STABLE AS $$ SELECT 201, NULL::json, NULL::json $$;
SELECT is(tap.http('POST /api/echo/{a}/{b}/', :'ben')->>'status', '201', 'replaced, the new function serves at once');
UPDATE clinicq.route SET who = '{anyone}' WHERE path = '/api/echo/{a}/{b}/';
SELECT is(tap.http('POST /api/echo/{a}/{b}/', NULL)->>'status', '201', 'opened, it needs no token');
CALL clinicq.migrate();
SELECT is(tap.http('POST /api/echo/{a}/{b}/', NULL)->>'status', '201', 'migrate() leaves it there');

-- Broken ones.
CREATE FUNCTION clinicq_api.wrong_type(path text[], query jsonb, body text) RETURNS json LANGUAGE sql AS $$ SELECT '{}'::json $$;
CREATE FUNCTION clinicq_api.wrong_set(path text[], query jsonb, body text) RETURNS SETOF clinicq_api.reply LANGUAGE sql AS $$ SELECT 200, NULL::json, NULL::json $$;
CREATE FUNCTION clinicq_api.wrong_arguments(path text[], query json, body text) RETURNS clinicq_api.reply LANGUAGE sql AS $$ SELECT 200, NULL::json, NULL::json $$;
CREATE FUNCTION clinicq_api.forbidden(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql AS $$ SELECT 200, NULL::json, NULL::json $$;
REVOKE EXECUTE ON FUNCTION clinicq_api.forbidden FROM PUBLIC;
CREATE FUNCTION clinicq_api.no_reply(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql AS $$ SELECT NULL::clinicq_api.reply $$;
CREATE FUNCTION clinicq_api.no_status(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql AS $$ SELECT NULL::int, '{}'::json, NULL::json $$;
CREATE FUNCTION clinicq_api.fails(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql AS $$ SELECT 1 / 0, NULL::json, NULL::json $$;
CREATE PROCEDURE clinicq_api.procedure(path text[], query jsonb, body text) LANGUAGE sql AS $$ SELECT 1 $$;
INSERT INTO clinicq.route (method, path, function, class, who, summary)
    SELECT 'GET', '/api/broken/' || n || '/', f, 'read', '{anyone}', 'Broken.'
    FROM unnest(ARRAY['clinicq_api.missing', 'nowhere.missing', 'clinicq_api.wrong_type', 'clinicq_api.wrong_set', 'clinicq_api.wrong_arguments', 'clinicq_api.forbidden',
        'clinicq_api.procedure', 'clinicq_api.no_reply', 'clinicq_api.no_status', 'clinicq_api.fails']) WITH ORDINALITY AS b (f, n);
SELECT format('SELECT is(tap.http(%L, NULL)->>''sqlstate'', %L, %L)', method || ' ' || path,
    CASE WHEN function ~ 'no_reply|no_status' THEN '39004' WHEN function ~ 'fails' THEN '22012' ELSE 'P0002' END, 'a route to ' || quote_literal(function))
FROM clinicq.route WHERE path ~ '^/api/broken/' ORDER BY path
\gexec
SELECT is(tap.http('GET /api/health/', NULL)->>'status', '200', 'the others serve');
SELECT is(tap.me(:'ada'), 'ada', 'with and without token');
SELECT isnt(tap.act('shim', 'SELECT clinicq_api.catalogue()'), NULL, 'the catalogue too');
SELECT is(tap.http('GET /api/openapi.json', NULL)->>'status', '200', 'and the description');
UPDATE clinicq.route SET function = 'clinicq_api.health' WHERE function = 'clinicq_api.missing';
SELECT is(tap.http('GET /api/broken/1/', NULL)->>'status', '200', 'a route that is mended serves at once');
DELETE FROM clinicq.route WHERE path ~ '^/api/(broken|echo)/';
SELECT is(tap.http('GET /api/broken/1/', NULL)->>'sqlstate', 'P0002', 'one that is removed no longer');
SELECT throws_ok(format('UPDATE clinicq.route SET function = %L WHERE path = ''/api/health/''', f), '23514', NULL, 'the table refuses function ' || quote_literal(f))
FROM unnest(ARRAY['', 'health', 'a.b.c', 'a.b; DROP', '"a".b', 'a.']) AS f;
SELECT throws_ok(format('INSERT INTO clinicq.route (method, path, function, class, who, summary) VALUES (%L, %L, ''a.x'', %L, ''{}'', ''x'')', m, p, c), '23514', NULL, format('the table refuses %s %s %s', m, p, c))
FROM (VALUES ('HEAD', '/x/', 'read'), ('get', '/x/', 'read'), ('GET', 'x/', 'read'), ('GET', '/x//', 'read'), ('GET', '/{A}/', 'read'), ('GET', '/x/', 'fast'), ('GET', '/x y/', 'read')) AS bad (m, p, c);

-- Routed functions that the owner calls directly find no request of somebody before.
SELECT tap.http('POST /api/auth/logout/', :'ben') \g /dev/null
SELECT is(tap.act('dba', 'SELECT (clinicq_api.log_out(NULL, NULL, NULL)).status'), '204', 'log_out() without a request ends no session');
SELECT is(tap.me(:'ada'), 'ada', 'none at all');
SELECT is(tap.act('dba', 'SELECT (clinicq_api.list_patients(NULL, NULL, NULL)).body->>''count'''), '0', 'a list without a request');
SELECT is(tap.state('dba', format('SELECT clinicq_api.%I(NULL, NULL, NULL)', p.proname)) ~ '^(00000|P0002|22023|QC400|28000)$', true, p.proname || '() without path, query and body')
FROM pg_proc p WHERE p.pronamespace = 'clinicq_api'::regnamespace AND p.pronargs = 3 AND p.prorettype = 'clinicq_api.reply'::regtype
    AND NOT p.proretset AND p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'sql') ORDER BY p.proname;

SELECT * FROM finish();
