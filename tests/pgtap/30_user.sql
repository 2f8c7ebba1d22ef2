-- Proves users and sessions: names and passwords, Argon2id with the parameters of the settings, tokens of
-- which only the SHA-256 is kept, and that a password, role or disabling ends the sessions at once.
SELECT no_plan();

SELECT tap.state('admin', format('SELECT clinicq.set_setting(%L, %L)', s, v))
FROM (VALUES ('password_memory_kib', '7168'), ('password_iterations', '1')) AS fast (s, v) \g /dev/null
CREATE FUNCTION tap.create_user(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('admin', format('SELECT clinicq.create_user(%s)', arguments))
$$;
CREATE FUNCTION tap.log_in(name text, password text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('display', format('SELECT l.token FROM clinicq.log_in(%L, %L) AS l', name, password))
$$;
CREATE FUNCTION tap.me(token text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(a->>'sqlstate', (a->'body'->>'username') || ' ' || (a->'body'->>'roles')) FROM tap.http('GET /api/auth/me/', token) AS a
$$;

-- Creating.
SELECT is(tap.create_user($$ 'ada', '{doctor,assistant}', 'correct horse 1' $$), NULL, 'a user with a given password');
SELECT results_eq('SELECT username, roles, disabled_at FROM clinicq.app_user', $$ VALUES ('ada', '{doctor,assistant}'::text[], NULL::timestamptz) $$, 'with these roles');
SELECT tap.create_user($$ 'ben' $$) AS generated \gset
SELECT matches(:'generated'::text, '^[A-Za-z0-9]{20}$', 'a generated password is returned');
SELECT is((SELECT roles FROM clinicq.app_user WHERE username = 'ben'), '{}'::text[], 'a user may have no role');
SELECT isnt(tap.create_user($$ 'cleo' $$), :'generated', 'no two generated passwords are the same');
SELECT is(tap.create_user($$ '', '{nurse}', 'short' $$),
    '22023: username: must be 1 to 150 letters, digits or @ . + - _; password: must be 12 to 128 characters long; roles: must be any of admin, doctor, assistant, display, auditor, reporter',
    'all bad fields at once');
SELECT is(tap.create_user(format('%L', n)) ~ '^22023: username: ', true, format('%L is no user name', n))
FROM unnest(ARRAY[NULL, '', 'a b', 'ä', 'a/b', E'a\r', repeat('x', 151)]) AS n;
SELECT is(tap.create_user(format('''x'', %L', r)) ~ '^22023: roles: ', true, 'roles ' || r) FROM unnest(ARRAY['{root}', '{NULL}', '{Admin}']) AS r;
SELECT is(tap.create_user(format('''x'', ''{}'', %L', p)) ~ '^22023: password: ', true, length(p) || ' characters are no password')
FROM unnest(ARRAY['', repeat('x', 11), repeat('é', 129)]) AS p;
SELECT is(tap.create_user(format('%L, ''{}'', %L', 'len' || length(p), p)), NULL, length(p) || ' characters are one')
FROM (VALUES ('éàüöñçßøåæœð'), (left((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 4) n), 127) || 'é')) AS v (p);
SELECT is(tap.create_user(format('''weak.smith'', ''{}'', %L', p)) ~ ('^22023: password: is easily guessed: it ' || why), true, p || ' is easily guessed: ' || why)
FROM (VALUES ('passwordpassword', 'is made of common words'), ('weaksmithsmith1', 'contains the name'), ('clinicqclinicq', 'contains the name'),
    ('aaaaaaaaaaaaaaaa', ''), ('qwertyuiopasdf', '')) AS v (p, why);
SELECT is(tap.state('admin', $$ SELECT clinicq.create_user('ADA') $$), '23505', 'a name that differs by case alone is in use');
SELECT throws_ok($$ INSERT INTO clinicq.app_user (username, password_hash, roles) VALUES ('x', 'x', '{root}') $$, '23514', NULL, 'the table itself refuses an unknown role');
SELECT throws_ok($$ INSERT INTO clinicq.app_user (username, password_hash, roles) VALUES ('x', 'x', '{NULL}') $$, '23514', NULL, 'and none in the place of one');

-- Hashes.
SELECT is_empty($$ SELECT username FROM clinicq.app_user WHERE password_hash !~ '^\$argon2id\$v=19\$m=7168,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$' $$,
    'a password is kept as Argon2id in the PHC format, with the parameters of the settings');
SELECT is((SELECT count(DISTINCT split_part(password_hash, '$', 5)) FROM clinicq.app_user), (SELECT count(*) FROM clinicq.app_user), 'each with a salt of its own');
SELECT tap.state('admin', format('SELECT clinicq.set_setting(%L, %L)', s, v))
FROM (VALUES ('password_memory_kib', '19456'), ('password_iterations', '2')) AS slow (s, v) \g /dev/null
SELECT is(tap.act('admin', $$ SELECT clinicq.set_password('ben', 'correct horse 2') $$), '', 'a new password');
SELECT matches((SELECT password_hash FROM clinicq.app_user WHERE username = 'ben'), '^\$argon2id\$v=19\$m=19456,t=2,p=1\$', 'takes new parameters; these are the defaults');
SELECT results_eq($$ SELECT default_value FROM clinicq.settings() WHERE name IN ('password_memory_kib', 'password_iterations') ORDER BY 1 $$, ARRAY['19456', '2'], 'as OWASP recommends them');
SELECT matches(tap.log_in('ada', 'correct horse 1'), '^[0-9a-f]{64}$', 'a hash of older parameters still serves');
SELECT tap.state('admin', format('SELECT clinicq.set_setting(%L, %L)', s, v))
FROM (VALUES ('password_memory_kib', '7168'), ('password_iterations', '1')) AS fast (s, v) \g /dev/null

-- Log-in.
SELECT tap.log_in('ada', 'correct horse 1') AS token \gset
SELECT is(tap.log_in('ada', 'correct horse 2'), NULL, 'a wrong password');
SELECT is(tap.log_in('nobody', 'correct horse 1'), NULL, 'an unknown name');
SELECT is(tap.log_in('ADA', 'correct horse 1'), NULL, 'case counts in a name');
SELECT is(tap.log_in('ada', 'correct horse 1 '), NULL, 'a blank counts in a password');
SELECT is(tap.log_in('ada', ''), NULL, 'no password');
SELECT is(tap.state('display', $$ SELECT clinicq.log_in(NULL, 'x') $$), '22004', 'a name is needed');
SELECT is(tap.state('display', $$ SELECT clinicq.log_in('ada', NULL) $$), '22004', 'and a password');
SELECT isnt(tap.log_in('ada', 'correct horse 1'), :'token', 'each log-in has a token of its own');
SELECT is((SELECT count(*) FROM clinicq.session WHERE token_hash = sha256(convert_to(:'token', 'UTF8'))), 1::bigint, 'a session is kept under the SHA-256 of its token');
SELECT is_empty(format($$ SELECT * FROM clinicq.session s WHERE s::text LIKE '%%' || %L || '%%' $$, :'token'), 'and the token nowhere');
SELECT is_empty(format($$ SELECT * FROM clinicq.audit_event e WHERE e::text LIKE '%%' || %L || '%%' OR e::text LIKE '%%argon2%%' OR e::text LIKE '%%correct horse%%' $$, :'token'), 'no token, hash or password is in the audit log');
SELECT is(tap.me(:'token'), 'ada ["doctor", "assistant"]', 'the token is that user, with these roles');
SELECT is(tap.act('display', $$ SELECT extract(epoch FROM l.expires_at - now())::int / 60 FROM clinicq.log_in('ada', 'correct horse 1') AS l $$), '720', 'for the minutes of session_minutes');
SELECT tap.create_user($$ 'board', '{display}', 'correct horse 3' $$), tap.create_user($$ 'both', '{display,doctor}', 'correct horse 3' $$) \g /dev/null
SELECT is(tap.act('display', format('SELECT extract(epoch FROM l.expires_at - now())::int / 60 FROM clinicq.log_in(%L, ''correct horse 3'') AS l', u)), minutes, u || ': ' || minutes || ' minutes')
FROM (VALUES ('board', '43200'), ('both', '720')) AS v (u, minutes);

-- Log-in over HTTP.
CREATE FUNCTION tap.http_log_in(body text) RETURNS jsonb LANGUAGE sql AS $$ SELECT tap.http('POST /api/auth/login/', 'ignored', NULL, body, client => '192.0.2.7') $$;
SELECT tap.http_log_in('{"username": " ada ", "password": "correct horse 1"}') AS answer \gset
SELECT is(:'answer'::jsonb->>'status', '200', 'a log-in over HTTP');
SELECT is(:'answer'::jsonb->'body'->'user', '{"username": "ada", "roles": ["doctor", "assistant"]}'::jsonb, 'says who');
SELECT is(:'answer'::jsonb->'body'->>'token', :'answer'::jsonb->'body'->>'access', 'token and access are the same');
SELECT is(:'answer'::jsonb->'body'->>'expires_in', '43200', 'and how long');
SELECT is((SELECT client FROM clinicq.session WHERE token_hash = sha256(convert_to(:'answer'::jsonb->'body'->>'token', 'UTF8'))), '192.0.2.7'::inet, 'the session knows where from');
SELECT tap.http_log_in('{"username": "ada", "password": "wrong"}') AS wrong \gset
SELECT tap.http_log_in('{"username": "nobody", "password": "wrong"}') AS unknown \gset
SELECT is(:'wrong'::jsonb, :'unknown'::jsonb, 'a wrong password and an unknown name are answered alike');
SELECT is(:'wrong'::jsonb->>'status', '400', 'as a reply, so that what it counts is committed');
SELECT is(tap.http_log_in('{"username": "", "password": null}')->>'detail', '{"username":["must not be blank"],"password":["must not be null"]}', 'both fields are needed');

-- Log-out.
SELECT is(tap.act('display', format('SELECT clinicq.log_out(%L)', :'token')), 'true', 'log-out');
SELECT is(tap.me(:'token'), '28000', 'ends the session');
SELECT is(tap.act('display', format('SELECT clinicq.log_out(%L)', t)), 'false', format('%L is no session', left(t, 10)))
FROM unnest(ARRAY[:'token', '', 'x', repeat('0', 64), repeat('0', 63), upper(repeat('a', 64))]) AS t;
SELECT is(tap.state('display', 'SELECT clinicq.log_out(NULL)'), '22004', 'a token is needed');

-- What ends sessions at once.
CREATE FUNCTION tap.live(name text) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM clinicq.session s JOIN clinicq.app_user u ON u.id = s.user_id WHERE u.username = $1 $$;
SELECT tap.log_in('ada', 'correct horse 1') AS a \gset
SELECT is(tap.act('admin', $$ SELECT clinicq.grant_role('ada', 'doctor') $$), '', 'a role that the user has already');
SELECT is(tap.me(:'a'), 'ada ["doctor", "assistant"]', 'ends nothing');
SELECT is(tap.act('admin', $$ SELECT clinicq.grant_role('ada', 'auditor') $$), '', 'another role');
SELECT is(tap.me(:'a') || ' ' || tap.live('ada'), '28000 0', 'ends all sessions of the user');
SELECT tap.log_in('ada', 'correct horse 1') AS a \gset
SELECT is(tap.act('admin', $$ SELECT clinicq.revoke_role('ada', 'assistant') $$), '', 'a role less');
SELECT is(tap.me(:'a') || ' ' || tap.live('ada'), '28000 0', 'too');
SELECT is((SELECT roles FROM clinicq.app_user WHERE username = 'ada'), '{doctor,auditor}'::text[], 'the roles are right');
SELECT tap.log_in('ada', 'correct horse 1') AS a, tap.log_in('both', 'correct horse 3') AS other \gset
SELECT is(tap.act('admin', $$ SELECT clinicq.set_password('ada', 'correct horse 4') $$), '', 'a new password');
SELECT is(tap.me(:'a') || ' ' || tap.live('ada'), '28000 0', 'too');
SELECT is(tap.log_in('ada', 'correct horse 1'), NULL, 'the old one serves no longer');
SELECT is(tap.me(:'other'), 'both ["doctor", "display"]', 'sessions of others live on');
SELECT tap.log_in('ada', 'correct horse 4') AS a \gset
SELECT is(tap.act('admin', $$ SELECT clinicq.disable_user('ada') $$), '', 'shutting a user out');
SELECT is(tap.me(:'a') || ' ' || tap.live('ada'), '28000 0', 'too');
SELECT is(tap.log_in('ada', 'correct horse 4'), NULL, 'who cannot log in again');
SELECT tap.user('root', '{admin}') AS root \gset
SELECT is(tap.http('PATCH /api/users/{id}/', :'root', ARRAY[(SELECT id::text FROM clinicq.app_user WHERE username = 'ada')], '{"disabled": false, "roles": ["display"]}')->'body'->>'disabled', 'false', 'until enabled over HTTP');
SELECT matches(tap.log_in('ada', 'correct horse 4'), '^[0-9a-f]{64}$', 'then the user may');
SELECT is(tap.http('POST /api/users/{id}/password/', :'root', ARRAY[(SELECT id::text FROM clinicq.app_user WHERE username = 'ada')], '{"password": "correct horse 5"}')->>'status', '204', 'a password set over HTTP');
SELECT is(tap.live('ada'), 0::bigint, 'ends the sessions too');

-- Refusals.
SELECT is(tap.act('admin', format('SELECT clinicq.%s', f)), answer, f) FROM (VALUES
    ('set_password(''ghost'', ''correct horse 1'')', 'P0002: no user ghost'),
    ('set_password(''ada'', ''short'')', '22023: password: must be 12 to 128 characters long'),
    ('set_password(''ada'', NULL)', '22004: password must not be null'),
    ('grant_role(''ghost'', ''doctor'')', 'P0002: no user ghost'),
    ('grant_role(''ada'', ''nurse'')', '22023: no such role: nurse'),
    ('revoke_role(''ada'', NULL)', '22004: role must not be null'),
    ('disable_user(''ghost'')', 'P0002: no user ghost'),
    ('disable_user(NULL)', '22004: username must not be null')) AS bad (f, answer);
SELECT is(tap.http('POST /api/users/', :'root', NULL, '{"username": "x y", "password": "short", "roles": "admin"}')->>'detail',
    '{"roles":["must be an array of roles"],"username":["must be 1 to 150 letters, digits or @ . + - _"],"password":["must be 12 to 128 characters long"]}', 'bad fields over HTTP');
SELECT tap.http('POST /api/users/', :'root', NULL, '{"username": "dora", "roles": ["doctor"]}') AS dora \gset
SELECT is(:'dora'::jsonb->>'status', '201', 'a user over HTTP');
SELECT matches(tap.log_in('dora', :'dora'::jsonb->'body'->>'password'), '^[0-9a-f]{64}$', 'logs in with the password that was answered');
SELECT is(tap.http('GET /api/users/{id}/', :'root', ARRAY[:'dora'::jsonb->'body'->>'id'])->'body' ? 'password', false, 'which is shown once');

-- Users of a demonstration: the catalogue counts those who are not shut out, whatever their name is now.
CREATE FUNCTION tap.demo_users() RETURNS int LANGUAGE sql AS $$ SELECT (tap.act('shim', 'SELECT clinicq_api.catalogue()')::json->>'demo_users')::int $$;
SELECT is(tap.demo_users(), 0, 'no user is one of a demonstration unless it is said');
SELECT is(tap.create_user($$ 'demo-given', '{doctor}', 'correct horse 4', true $$), NULL, 'one with a given password');
SELECT matches(tap.create_user($$ 'demo-made', '{doctor}', demo => true $$), '^[A-Za-z0-9]{20}$', 'one with a password for one time');
SELECT is((SELECT string_agg(username || password_expired, ',' ORDER BY id) FROM clinicq.app_user WHERE is_demo), 'demo-givenfalse,demo-madetrue', 'are marked');
SELECT is(tap.create_user($$ 'plain-null', '{doctor}', 'correct horse 4', NULL $$), NULL, 'one of whom nothing is known');
SELECT is(tap.demo_users(), 2, 'is not');
UPDATE clinicq.app_user SET username = 'renamed' WHERE username = 'demo-given';
SELECT is(tap.act('admin', $$ SELECT clinicq.set_password('renamed', 'correct horse 5') $$), '', 'another password');
SELECT is(tap.demo_users(), 2, 'and another name make no difference');
SELECT is(tap.state('doctor', 'SELECT clinicq.disable_demo_users()'), '42501', 'an administrator shuts them out');
SELECT tap.log_in('renamed', 'correct horse 5') AS token \gset
SELECT is(tap.act('admin', 'SELECT clinicq.disable_demo_users()'), '{demo-made,renamed}', 'all at once, by name');
SELECT is(tap.me(:'token'), '28000', 'with their sessions');
SELECT is(tap.demo_users(), 0, 'then none is left');
SELECT is((SELECT count(*) FROM clinicq.app_user WHERE disabled_at IS NULL AND username = 'plain-null'), 1::bigint, 'others stay');
SELECT is(tap.act('admin', 'SELECT clinicq.disable_demo_users()'), '{}', 'there is nothing more to do');

SELECT * FROM finish();
