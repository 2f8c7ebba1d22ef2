-- Proves sessions and the guard of log-ins: sliding and refreshed ones, rotation of refresh tokens and what
-- happens to a stolen one, lists, ends, one-time passwords, and that guessing is slowed without locking out.
SELECT no_plan();

SELECT tap.act('admin', $$ SELECT clinicq.create_user('ada', '{doctor}', 'one tall giraffe 77') $$);
CREATE FUNCTION tap.log_in(options text DEFAULT '{}', name text DEFAULT 'ada', password text DEFAULT 'one tall giraffe 77',
    client inet DEFAULT '10.0.0.1') RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('POST /api/auth/login/', NULL, NULL,
        (jsonb_build_object('username', name, 'password', password) || options::jsonb)::text, client => client)
$$;
CREATE FUNCTION tap.admit(name text DEFAULT 'ada', client inet DEFAULT '10.0.0.1') RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('BEFORE POST /api/auth/login/', NULL, NULL,
        jsonb_build_object('username', name, 'password', 'x')::text, client => client)
$$;
CREATE FUNCTION tap.refresh(token text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('POST /api/auth/refresh/', NULL, NULL, jsonb_build_object('refresh', token)::text)
$$;
CREATE FUNCTION tap.works(token text) RETURNS boolean LANGUAGE sql AS $$
    SELECT coalesce((tap.http('GET /api/auth/me/', token)->>'status') = '200', false)
$$;

-- A plain log-in slides and has no refresh token.
SELECT tap.log_in() AS reply \gset
SELECT is(:'reply'::jsonb #>> '{body,refresh}', NULL, 'a plain log-in gets no refresh token');
SELECT is((:'reply'::jsonb #>> '{body,expires_in}')::int, 43200, 'and slides twelve hours');
SELECT is(:'reply'::jsonb #>> '{body,token}', :'reply'::jsonb #>> '{body,access}', 'token and access are the same');
SELECT tap.log_in('{"cookie": true}') AS cookie \gset
SELECT is(:'cookie'::jsonb #>> '{body,token}', NULL, 'a log-in for a cookie does not show the token');
SELECT matches(:'cookie'::jsonb #>> '{headers,Set-Session}', '^[0-9a-f]{64} 43200$', 'but asks for the cookie');
SELECT is(tap.http('POST /api/auth/logout/', split_part(:'cookie'::jsonb #>> '{headers,Set-Session}', ' ', 1)) #>> '{headers,Set-Session}', '', 'which log-out takes away');

-- Times by role: who has several roles gets the shortest.
SELECT tap.act('admin', $$ SELECT clinicq.set_setting('session_minutes', '720,display=43200,reporter=60'), clinicq.set_setting('access_minutes', '15,admin=5'), clinicq.set_setting('session_days', '30,admin=1,auditor=2') $$) \g /dev/null
CREATE FUNCTION tap.times(roles text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text := 'of-' || cardinality(roles) || coalesce(roles[1], '');
BEGIN
    PERFORM tap.act('admin', format('SELECT clinicq.create_user(%L, %L, ''one tall giraffe 77'')', name, roles));
    RETURN (tap.log_in(name => name) #>> '{body,expires_in}')::int / 60;
END
$$;
CREATE FUNCTION tap.family(name text) RETURNS text LANGUAGE sql AS $$
    SELECT (extract(epoch FROM s.expires_at - s.created_at) / 60)::int || ' ' || (extract(epoch FROM s.ends_at - s.created_at) / 86400)::int
    FROM clinicq.session s JOIN clinicq.app_user u ON u.id = s.user_id WHERE u.username = name AND s.ends_at IS NOT NULL
$$;
SELECT format('SELECT is(tap.times(%L), %L, %L)', roles, minutes, roles || ' slide ' || minutes || ' minutes')
FROM (VALUES ('{}', '720'), ('{display}', '43200'), ('{reporter,display}', '60'), ('{doctor,display}', '720'), ('{assistant,doctor,reporter}', '60')) AS v (roles, minutes) \gexec
SELECT tap.act('admin', format('SELECT clinicq.create_user(%L, %L, ''one tall giraffe 77'')', name, roles)) FROM (VALUES ('plain', '{doctor}'), ('chief', '{admin,doctor}'), ('both', '{auditor,admin}')) AS v (name, roles) \g /dev/null
SELECT tap.log_in('{"refresh": true}', 'plain') \g /dev/null
SELECT tap.log_in('{"refresh": true}', 'chief') #>> '{body,refresh}' AS chief \gset
SELECT tap.log_in('{"refresh": true}', 'both') \g /dev/null
SELECT is(tap.family('plain'), '15 30', 'access for 15 minutes and refresh for 30 days');
SELECT is(tap.family('chief'), '5 1', 'of a role with times of its own');
SELECT is(tap.family('both'), '5 1', 'of two such roles: the shortest');
SELECT is((tap.refresh(:'chief') #>> '{body,expires_in}')::int, 300, 'a refresh gives the role''s time too');
SELECT tap.act('admin', $$ SELECT clinicq.set_setting('session_minutes', '2880,display=43200') $$) \g /dev/null
SELECT tap.log_in(name => 'chief') #> '{body}' AS sliding \gset
SELECT is((:'sliding'::jsonb->>'expires_in')::int, 86400, 'a session that slides ends at the latest so many days after log-in');
UPDATE clinicq.session SET created_at = created_at - interval '23 hours', last_used_at = last_used_at - interval '23 hours' WHERE token_hash = sha256(convert_to(:'sliding'::jsonb->>'token', 'UTF8'));
SELECT ok(tap.works(:'sliding'::jsonb->>'token'), '... is used an hour before that');
SELECT is((SELECT expires_at - created_at FROM clinicq.session WHERE token_hash = sha256(convert_to(:'sliding'::jsonb->>'token', 'UTF8'))), interval '1 day', '... and ends then all the same');
SELECT tap.act('admin', format('SELECT clinicq.set_setting(%L, %L)', name, default_value)) FROM clinicq.settings() WHERE name IN ('session_minutes', 'access_minutes', 'session_days') \g /dev/null

-- Refresh tokens: single use, the same successor for ten seconds, then the family ends.
SELECT tap.log_in('{"refresh": true}') #> '{body}' AS first \gset
SELECT is((:'first'::jsonb->>'expires_in')::int, 900, 'an access token lives a quarter of an hour');
SELECT is((SELECT count(*) FROM clinicq.refresh_token WHERE token_hash = sha256(convert_to(:'first'::jsonb->>'refresh', 'UTF8'))), 1::bigint, 'of a refresh token only the hash is kept');
SELECT tap.refresh(:'first'::jsonb->>'refresh') #> '{body}' AS second \gset
SELECT isnt(:'second'::jsonb->>'refresh', :'first'::jsonb->>'refresh', 'a refresh gives another refresh token');
SELECT ok(tap.works(:'second'::jsonb->>'access'), 'and an access token that works');
SELECT ok(NOT tap.works(:'first'::jsonb->>'access'), 'the earlier access token has ended');
SELECT is((tap.refresh(:'first'::jsonb->>'refresh') #> '{body}') - 'expires_in', :'second'::jsonb - 'expires_in', 'a reply that was lost is given again');
SELECT tap.refresh(:'second'::jsonb->>'refresh') #> '{body}' AS third \gset
SELECT is(tap.refresh(:'first'::jsonb->>'refresh')->>'status', '401', 'not once its successor is used');
SELECT ok(NOT tap.works(:'third'::jsonb->>'access'), 'which ends the whole session');
SELECT is(tap.refresh(:'third'::jsonb->>'refresh')->>'status', '401', 'with its newest refresh token');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE action = 'REFRESH_REUSED' AND outcome = 'session ended'), 1::bigint, 'and is in the audit log');
SELECT tap.log_in('{"refresh": true}') #> '{body}' AS first \gset
SELECT tap.refresh(:'first'::jsonb->>'refresh') #> '{body}' AS second \gset
UPDATE clinicq.refresh_token SET used_at = used_at - interval '11 seconds' WHERE used_at IS NOT NULL;
SELECT is(tap.refresh(:'first'::jsonb->>'refresh')->>'status', '401', 'after ten seconds a used one ends the session too');
SELECT ok(NOT tap.works(:'second'::jsonb->>'access'), 'at once');
SELECT tap.log_in('{"refresh": true}') #> '{body}' AS first \gset
UPDATE clinicq.session SET ends_at = now() + interval '5 minutes' WHERE ends_at IS NOT NULL;
SELECT cmp_ok((tap.refresh(:'first'::jsonb->>'refresh') #>> '{body,expires_in}')::int, '<=', 300, 'no access token outlives the absolute limit');
UPDATE clinicq.session SET ends_at = now() WHERE ends_at IS NOT NULL;
SELECT is(tap.refresh(:'first'::jsonb->>'refresh')->>'status', '401', 'past it nothing is exchanged');
SELECT format('SELECT is(tap.refresh(%L)->>''sqlstate'', ''22023'', ''%s is no refresh token'')', t, left(t, 8)) FROM unnest(ARRAY['x', repeat('f', 65), repeat('Z', 64)]) AS t \gexec
SELECT is(tap.refresh(repeat('0', 64))->>'status', '401', 'nor is one that was never given out');
SELECT is(tap.http('POST /api/auth/refresh/', NULL, NULL, '{}')->>'sqlstate', '22023', 'one is needed');

-- Lists and ends.
SELECT tap.log_in() #>> '{body,token}' AS mine \gset
SELECT tap.user('boss', '{admin}') AS boss \gset
SELECT tap.user('eve', '{doctor}') AS eve \gset
SELECT is((SELECT count(*) FROM jsonb_array_elements(tap.http('GET /api/auth/sessions/', :'mine')->'body') s WHERE (s->>'current')::boolean), 1::bigint, 'one of one''s sessions is the present one');
SELECT s.value->>'id' AS id FROM jsonb_array_elements(tap.http('GET /api/auth/sessions/', :'mine')->'body') s WHERE (s.value->>'current')::boolean \gset
SELECT is(tap.http('DELETE /api/auth/sessions/{id}/', :'eve', ARRAY[:'id'])->>'sqlstate', 'P0002', 'somebody else''s session cannot be ended');
SELECT is(tap.http('GET /api/auth/sessions/', :'eve', query => '{"user": "ada"}')->>'sqlstate', '42501', 'nor listed');
SELECT ok(jsonb_array_length(tap.http('GET /api/auth/sessions/', :'boss', query => '{"user": "ada"}')->'body') > 1, 'but by an administrator');
SELECT is(tap.http('DELETE /api/auth/sessions/{id}/', :'boss', ARRAY[:'id'])->>'status', '204', 'who ends it too');
SELECT ok(NOT tap.works(:'mine'), 'at once');
SELECT tap.log_in() #>> '{body,token}' AS mine \gset
SELECT is(tap.http('POST /api/auth/logout_all/', :'mine')->>'status', '204', 'log-out everywhere');
SELECT is((SELECT count(*) FROM clinicq.session s JOIN clinicq.app_user u ON u.id = s.user_id WHERE username = 'ada'), 0::bigint, 'leaves no session');

-- Changing one's password.
SELECT tap.log_in() #>> '{body,token}' AS mine \gset
CREATE FUNCTION tap.change(token text, old text, new text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('POST /api/auth/password/', token, NULL, jsonb_build_object('old_password', old, 'password', new)::text)
$$;
SELECT is(tap.change(:'mine', 'wrong', 'two wide elephants 88')->>'message', 'old_password: is wrong', 'the old password is needed');
SELECT is(tap.change(:'mine', 'one tall giraffe 77', 'one tall giraffe 77')->>'message', 'password: must be another one', 'and another new one');
SELECT matches(tap.change(:'mine', 'one tall giraffe 77', 'adaadaadaada')->>'message', '^password: is easily guessed', 'which is hard to guess');
SELECT is(tap.change(:'mine', 'one tall giraffe 77', 'two wide elephants 88')->>'status', '204', 'then it is changed');
SELECT ok(NOT tap.works(:'mine'), 'and the sessions end');
SELECT is(tap.log_in()->>'status', '400', 'the old one no longer serves');
SELECT is(tap.log_in(password => 'two wide elephants 88')->>'status', '200', 'the new one does');

-- A one-time password serves only to be changed.
SELECT tap.act('admin', $$ SELECT clinicq.create_user('new', '{assistant}') $$) AS once \gset
SELECT tap.log_in(name => 'new', password => :'once') #> '{body}' AS body \gset
SELECT is(:'body'::jsonb->>'password_change_required', 'true', 'a log-in with a one-time password says so');
SELECT :'body'::jsonb->>'token' AS token \gset
SELECT is(tap.http('GET /api/patients/', :'token')->>'sqlstate', 'QC403', 'nothing else can be done');
SELECT ok(tap.works(:'token'), 'but asking who one is');
SELECT is(tap.change(:'token', :'once', 'three deep oceans 99')->>'status', '204', 'and changing it');
SELECT tap.log_in(name => 'new', password => 'three deep oceans 99') #>> '{body,token}' AS token \gset
SELECT is(tap.http('GET /api/patients/', :'token')->>'status', '200', 'after which all is as usual');

-- Parameters that were raised are taken over at the next log-in.
SELECT tap.act('admin', $$ SELECT clinicq.set_setting('password_memory_kib', '8192') $$);
SELECT is(tap.log_in(password => 'two wide elephants 88')->>'status', '200', 'a log-in after the parameters changed');
SELECT matches((SELECT password_hash FROM clinicq.app_user WHERE username = 'ada'), '^\$argon2id\$v=19\$m=8192,', 'hashes the password anew');

-- Guessing.
TRUNCATE clinicq.log_in_attempt;
SELECT format('SELECT is(tap.admit()->>''status'', %L, ''try %s'')', CASE WHEN n > 5 THEN 429 ELSE 204 END, n) FROM generate_series(1, 6) n \gexec
SELECT is(tap.admit() #>> '{headers,Retry-After}', '60', 'of a minute');
SELECT is(tap.admit(client => '10.0.0.2')->>'status', '204', 'not from another address: nobody is locked out from elsewhere');
SELECT is(tap.admit(name => 'eve')->>'status', '204', 'nor another name from this one: a clinic behind one address goes on');
SELECT format('SELECT is(tap.admit(''nobody'')->>''status'', %L, ''a name that does not exist is treated the same: %s'')', CASE WHEN n > 5 THEN 429 ELSE 204 END, n) FROM generate_series(1, 6) n \gexec
SELECT format('SELECT is(tap.admit(''v6'', ''2001:db8::%s'')->>''status'', %L, ''an IPv6 /64 is one address: %s'')', n, CASE WHEN n > 5 THEN 429 ELSE 204 END, n) FROM generate_series(1, 6) n \gexec
SELECT is((SELECT failures FROM clinicq.log_in_attempt WHERE network = '10.0.0.1' AND name_hash = sha256('ada')), 5, 'a try that has to wait is not counted');
SELECT is(tap.act('admin', 'SELECT clinicq.unlock_user(''ada'')'), '', 'an administrator lifts it');
SELECT is(tap.admit()->>'status', '204', 'at once');
UPDATE clinicq.log_in_attempt SET failures = 5, locked_until = now() - interval '1 second' WHERE network = '10.0.0.1' AND name_hash = sha256('ada');
SELECT is(tap.admit()->>'status', '204', 'after the wait one more');
SELECT cmp_ok((tap.admit() #>> '{headers,Retry-After}')::int, '>', 110, 'then twice as long');
SELECT is(tap.log_in(password => 'two wide elephants 88')->>'status', '200', 'a log-in that was let in and is right');
SELECT is((SELECT failures::text || (locked_until IS NULL) || (succeeded_at IS NOT NULL) FROM clinicq.log_in_attempt WHERE network = '10.0.0.1' AND name_hash = sha256('ada')), '0truetrue', 'starts anew');
SELECT format('SELECT tap.admit(client => ''10.1.0.%s'') IS NULL', n) FROM generate_series(1, 60) n \gexec
SELECT is(tap.admit(client => '10.9.9.9')->>'status', '429', 'past the threshold over all addresses an unknown one has to wait');
SELECT is(tap.admit()->>'status', '204', 'but not the one from which it logged in before');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE action = 'LOG_IN' AND outcome = 'locked') > 0, true, 'what was locked is in the audit log');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE action = 'LOG_IN' AND outcome = 'failed') > 0, true, 'what failed too');
SELECT is_empty($$ SELECT FROM clinicq.audit_event WHERE action = 'LOG_IN' AND (changes IS NOT NULL OR entity_id !~ '^[0-9]+$') $$, 'never what was typed');

SELECT * FROM finish();
