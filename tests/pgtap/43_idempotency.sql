-- Proves Idempotency-Key and conditional requests at the door of the database: what is stored and what never is,
-- which routes look at which header, and that what does not fit is refused before or rolled back after the work.
SELECT no_plan();

SELECT tap.user('ada', '{admin,doctor,assistant}') AS ada, tap.user('ben', '{assistant}') AS ben \gset
CREATE FUNCTION tap.send(route text, token text, body text DEFAULT NULL, path text[] DEFAULT NULL, query jsonb DEFAULT NULL,
    key text DEFAULT NULL, if_match text DEFAULT NULL, if_none_match text DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    me text := session_user;
    result jsonb;
BEGIN
    BEGIN
        PERFORM set_config('session_authorization', 'clinicq_shim', true);
        SELECT jsonb_build_object('status', c.status, 'body', c.reply, 'headers', c.headers) INTO STRICT result
            FROM clinicq_api.call(route, token, path, query, body, NULL, NULL, NULL, 'http://clinic', NULL, NULL, key, if_match, if_none_match) AS c;
        PERFORM set_config('session_authorization', me, true);
    EXCEPTION WHEN OTHERS THEN
        RETURN jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM);
    END;
    RETURN result;
END
$$;
CREATE FUNCTION tap.brief(reply jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(reply ->> 'sqlstate', concat_ws(' ', reply ->> 'status', CASE WHEN reply -> 'headers' ->> 'Idempotency-Replayed' = 'true' THEN 'replayed' END))
$$;

-- One effect, one reply; what makes a request the same one.
SELECT is(tap.brief(tap.send('POST /api/patients/', :'ada', '{"name": "Once", "phone": "1"}', key => 'k1')), '201', 'the first time');
SELECT format('SELECT is(tap.brief(tap.send(''POST /api/patients/'', %L, %L, key => ''k1'')), %L, %L)', :'ada', b, w, format('%s: %s', w, b)) FROM (VALUES
    ('{"name": "Once", "phone": "1"}', '201 replayed'), ('{ "phone":"1" , "name":"Once"}', '201 replayed'), ('{"name": "x", "name": "Once", "phone": "1"}', '201 replayed'),
    ('{"name": "Once", "phone": 1}', 'QC422'), ('{"name": "Once"}', 'QC422'), ('{"name": "Once", "phone": "1", "gender": "OTHER"}', 'QC422'), ('[]', 'QC422'), ('{', '22P02')) AS v (b, w)
\gexec
SELECT is(tap.brief(tap.send('POST /api/patients/', :'ada', NULL, key => 'k1')), 'QC422', 'no body is another one');
SELECT is(tap.brief(tap.send('POST /api/patients/', :'ada', '{"name": "Once", "phone": "1"}', query => '{"a": "1"}', key => 'k1')), 'QC422', 'another query too');
SELECT is(tap.brief(tap.send('POST /api/patients/', :'ada', '{"name": "Once", "phone": "1"}', path => '{x}', key => 'k1')), 'QC422', 'and another path');
SELECT is((SELECT count(*) FROM clinicq.patient WHERE name = 'Once'), 1::bigint, 'one patient');
SELECT is((SELECT array_agg(status) FROM clinicq.idempotency_key), '{201}', 'one key');
SELECT is(tap.brief(tap.send('POST /api/patients/', :'ben', '{"name": "Other", "phone": "1"}', key => 'k1')), '201', 'the same key of another user is another one');
SELECT is(tap.brief(tap.send('POST /api/patients/', :'ben', '{"name": "Other", "phone": "1"}', key => '"k1"')), '201 replayed', 'as a string of RFC 8941 it is the same');
UPDATE clinicq.app_user SET roles = '{display}' WHERE username = 'ben';
SELECT is(tap.brief(tap.send('POST /api/patients/', :'ben', '{"name": "Other", "phone": "1"}', key => 'k1')), 'QC422', 'who has lost the role gets no reply of it');
UPDATE clinicq.app_user SET roles = '{assistant}' WHERE username = 'ben';

-- Keys.
SELECT format('SELECT is(tap.brief(tap.send(''DELETE /api/queues/{id}/'', %L, path => ''{99}'', key => %L)), %L, %L)', :'ada', k, w, format('key %s: %s', left(k, 12), w)) FROM (VALUES
    ('a', 'P0002'), (repeat('a', 255), 'P0002'), ('"\""', 'P0002'), ('"\\"', 'P0002'), ('"' || repeat('\"', 255) || '"', 'P0002'),
    ('', 'QC400'), ('""', 'QC400'), ('"', 'QC400'), ('"a', 'QC400'), ('"\"', 'QC400'), ('"\a"', 'QC400'), ('"a"b"', 'QC400'), (repeat('a', 256), 'QC400'),
    ('"' || repeat('a', 256) || '"', 'QC400'), ('ä', 'QC400'), ('a b', 'QC400'), (E'a\x7f', 'QC400'), (repeat('a', 1000000), 'QC400')) AS v (k, w)
\gexec
SELECT matches(tap.send('DELETE /api/queues/{id}/', :'ada', path => '{99}', key => '')->>'message', '^Idempotency-Key: ', 'which is named');
SELECT is(tap.brief(tap.send('POST /api/queues/', NULL, '{}', key => '')), '28000', 'the token is looked at first');
SELECT is(tap.brief(tap.send('GET /api/queues/', :'ada', key => '')), '200', 'a read does not look at a key');
SELECT is(tap.brief(tap.send('POST /api/auth/login/', NULL, '{}', key => '')), '22023', 'nor does what everybody may call');
SELECT tap.brief(tap.send('BEFORE POST /api/auth/password/', :'ben', '{}')) AS before \gset
SELECT is(tap.brief(tap.send('BEFORE POST /api/auth/password/', :'ben', '{}', key => '')), :'before', 'nor what goes before');
SELECT is_empty($$ SELECT key FROM clinicq.idempotency_key WHERE key <> 'k1' $$, 'what is refused is not stored');

-- Secrets.
SELECT is((SELECT string_agg(split_part(function, '.', 2), ' ' ORDER BY function) FROM clinicq.route WHERE secret),
    'change_password confirm_password_reset confirm_totp create_user enrol_totp log_in refresh remove_totp request_password_reset set_password', 'the routes that take or give a secret');
SELECT is(tap.brief(tap.send('POST /api/users/', :'ada', '{"username": "cleo", "roles": ["display"]}', key => 's1')), '201', 'a user with a generated password');
SELECT is(tap.brief(tap.send('POST /api/users/', :'ada', '{"username": "cleo", "roles": ["display"]}', key => 's1')), 'QC208', 'is made once, and told once');
SELECT is(tap.brief(tap.send('POST /api/users/', :'ada', '{"username": "dora", "roles": ["display"]}', key => 's1')), 'QC208', 'whatever the body is: nothing of it is known');
SELECT is((SELECT (status, fingerprint, reply::text, headers::text)::text FROM clinicq.idempotency_key WHERE key = 's1'), '(,"\\x",,)', 'nothing of it is stored');

-- A reply that is too large is not kept, nor is one that refuses.
CREATE FUNCTION clinicq_api.sized(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql AS $$
    SELECT (query ->> 'status')::int, to_json(repeat('x', (query ->> 'size')::int)), NULL::json
$$;
ALTER FUNCTION clinicq_api.sized OWNER TO clinicq_owner;
INSERT INTO clinicq.route (method, path, function, class, who, summary)
    SELECT m, '/api/sized/', 'clinicq_api.sized', 'write', '{any}', 'Sized.' FROM unnest(ARRAY['POST', 'GET']) AS m;
SELECT format('SELECT is(tap.brief(tap.send(''POST /api/sized/'', %L, query => %L, key => %L)), %L, %L)', :'ada', q, k, w, format('%s %s: %s', k, q, w)) FROM (VALUES
    (1, 'z1', '{"status": 200, "size": 65534}'::jsonb, '200'), (2, 'z1', '{"status": 200, "size": 65534}', '200 replayed'),
    (3, 'z2', '{"status": 200, "size": 65535}', '200'),
    (4, 'z3', '{"status": 429, "size": 1}', '429'), (5, 'z3', '{"status": 429, "size": 1}', '429')) AS v (n, k, q, w) ORDER BY n
\gexec
SELECT is(tap.brief(tap.send('POST /api/sized/', :'ada', query => '{"status": 200, "size": 65535}', key => 'z2')), 'QC208', 'a reply that is too large: that it was done is known');
SELECT is_empty($$ SELECT FROM clinicq.idempotency_key WHERE key = 'z3' $$, 'a refusal that is a reply is not kept either');

-- Time.
SELECT tap.act('admin', $$SELECT clinicq.set_setting('idempotency_hours', '2')$$) \g /dev/null
UPDATE clinicq.idempotency_key SET created_at = now() - interval '119 minutes' WHERE key = 'z1';
SELECT is(tap.brief(tap.send('POST /api/sized/', :'ada', query => '{"status": 200, "size": 65534}', key => 'z1')), '200 replayed', 'within idempotency_hours');
UPDATE clinicq.idempotency_key SET created_at = now() - interval '121 minutes' WHERE key = 'z1';
SELECT is(tap.brief(tap.send('POST /api/sized/', :'ada', query => '{"status": 201, "size": 1}', key => 'z1')), '201', 'past them it is a new key, of another request');
SELECT is((SELECT created_at > now() - interval '1 minute' AND status = 201 FROM clinicq.idempotency_key WHERE key = 'z1'), true, 'that lives from now on');
INSERT INTO clinicq.idempotency_key (user_id, key, fingerprint, created_at) SELECT 1, 'old' || n, '', now() - interval '1 day' FROM generate_series(1, 5) AS n;
SELECT format('DO $_$ BEGIN PERFORM tap.send(''POST /api/sized/'', %L, query => ''{"status": 201, "size": 1}'', key => %L); END $_$', :'ada', 'z' || n) FROM generate_series(11, 13) AS n
\gexec
SELECT is((SELECT count(*) FROM clinicq.idempotency_key WHERE key ~ '^old'), 0::bigint, 'without a keeper the next writes remove what is past its time');

-- ETags.
SELECT is(tap.send('GET /api/sized/', :'ada', query => '{"status": 200, "size": 9}')->'headers' ? 'ETag', true, 'GET with 200');
SELECT is(tap.send('GET /api/sized/', :'ada', query => '{"status": 201, "size": 9}')->'headers', 'null', 'GET with 201');
SELECT is(tap.send('GET /api/sized/', :'ada', query => '{"status": 404, "size": 9}')->'headers', 'null', 'GET with 404');
CREATE OR REPLACE FUNCTION clinicq_api.sized(path text[], query jsonb, body text) RETURNS clinicq_api.reply LANGUAGE sql AS $$
    SELECT 200, (query -> 'body')::json, (query -> 'headers')::json
$$;
CREATE TABLE tap.tag (kind text, headers jsonb);
CREATE PROCEDURE tap.note(kind text, body jsonb, headers jsonb DEFAULT NULL) LANGUAGE sql AS $$
    INSERT INTO tap.tag SELECT kind, tap.send('GET /api/sized/', encode(sha256('ada'), 'hex'), query => jsonb_build_object('body', body, 'headers', headers))->'headers'
$$;
SELECT format('CALL tap.note(%L, %L)', 'length', to_jsonb(repeat('x', n))) FROM generate_series(0, 400) AS n
\gexec
SELECT format('CALL tap.note(%L, %L)', 'letter', to_jsonb(overlay(repeat('x', 120) PLACING c FROM n))) FROM generate_series(1, 120) AS n, unnest(ARRAY['a', 'b', 'y']) AS c
\gexec
SELECT format('CALL tap.note(%L, %L)', 'two', to_jsonb(overlay(overlay(repeat('x', 70) PLACING 'a' FROM m) PLACING 'a' FROM n))) FROM generate_series(1, 70) AS m, generate_series(1, 70) AS n WHERE m < n
\gexec
SELECT is((SELECT count(DISTINCT headers ->> 'ETag') FROM tap.tag WHERE kind = k), n, 'bodies that differ little, each with its tag: ' || k) FROM (VALUES ('length', 401::bigint), ('letter', 360), ('two', 2415)) AS v (k, n);
SELECT format('SELECT is((h - ''ETag'')::text || (h ? ''ETag''), %1$L::jsonb::text || %3$L::boolean, %2$L || '': %4$s'') FROM (SELECT tap.send(''GET /api/sized/'', %5$L, query => jsonb_build_object(''body'', 1, ''headers'', %1$L::jsonb))->''headers'' AS h) AS t',
    h, 'beside other headers: ' || h::text, w, CASE WHEN w THEN 'an ETag' ELSE 'none' END, :'ada')
FROM (VALUES ('{}'::jsonb, true), ('{"Link": "<x>"}', true), ('{ "A" : "}{" , "B":"ETag "}', true), ('{"Next-Page": "2"}', false)) AS v (h, w)
\gexec
SELECT is(tap.send('GET /api/sized/', :'ada', query => '{"body": 1, "headers": {"etag": "\"mine\""}}')->'headers', '{"etag": "\"mine\""}', 'a function may have a tag of its own');
SELECT tap.send('GET /api/sized/', :'ada', query => '{"body": 5}') AS shown \gset
SELECT is(tap.send('GET /api/sized/', :'ada', query => '{"body": 5}', if_none_match => '*'), :'shown'::jsonb || '{"status": 304}', '304 with the body, for its length');
SELECT is(tap.send('GET /api/sized/', :'ada', query => '{"body": 5}', if_match => '"x"')->>'status', '200', 'a read does not look at If-Match');

-- If-Match.
SELECT tap.send('POST /api/queues/', :'ada', '{"name": "Eye"}')->'body'->>'id' AS queue \gset
SELECT tap.send('GET /api/queues/{id}/', :'ada', path => ARRAY[:'queue'])->'headers'->>'ETag' AS tag \gset
SELECT is(tap.brief(tap.send('PATCH /api/queues/{id}/', :'ada', '{"name": "Ear"}', ARRAY[:'queue'], if_match => '"0"', key => 'm1')), 'QC412', 'one that does not hold');
SELECT is((SELECT name FROM clinicq.queue WHERE id = :queue), 'Eye', 'changes nothing');
SELECT is(tap.brief(tap.send('PATCH /api/queues/{id}/', :'ada', '{"name": "Ear"}', ARRAY[:'queue'], if_match => :'tag', key => 'm1')), '200', 'nor is the key used up');
SELECT is(tap.brief(tap.send('PATCH /api/queues/{id}/', :'ada', '{"name": "Ear"}', ARRAY[:'queue'], if_match => :'tag', key => 'm1')), '200 replayed', 'which then gets its reply, whatever has changed');
SELECT format('SELECT is(tap.brief(tap.send(''PATCH /api/queues/{id}/'', %L, ''{"name": "Ear"}'', %L, if_match => ''*'')), ''P0002'', %L)', :'ada', ARRAY[v], 'what is not there: ' || v) FROM unnest(ARRAY['99', 'x', '', '99999999999999999999']) AS v
\gexec
SELECT is(tap.brief(tap.send('PATCH /api/queues/{id}/', :'ben', '{"name": "Ear"}', ARRAY[:'queue'], if_match => '"0"')), '42501', 'the role goes first');
SELECT is(tap.brief(tap.send('POST /api/queues/', :'ada', '{"name": "Nose"}', if_match => '"0"')), '201', 'a list is nothing that it could be compared with');
SELECT is_empty($$ SELECT FROM clinicq.audit_event WHERE action = 'READ' AND entity = 'queue' $$, 'to compare is not to look');

-- Nobody else reads what is stored.
SELECT is(tap.state(who, 'SELECT FROM clinicq.idempotency_key'), '42501', who || ' may not read it') FROM unnest(ARRAY['shim', 'admin', 'doctor', 'auditor', 'reporter', 'nobody']) AS who;

SELECT * FROM finish();
