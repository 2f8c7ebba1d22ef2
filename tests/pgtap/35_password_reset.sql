-- Proves new passwords by e-mail: the answer tells nobody who has an account; a link is used once, within half
-- an hour, and is nowhere kept; what makes it void; the second factor stays; all of it is in the audit log.
-- And e-mail addresses of users.
SELECT no_plan();

CREATE FUNCTION tap.set(name text, value text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('admin', format('SELECT clinicq.set_setting(%L, %L)', name, value))
$$;
CREATE FUNCTION tap.ask(name text DEFAULT 'ada') RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(a->>'sqlstate', a->>'status') || ' ' || coalesce(a->>'message', a #>> '{body,detail}')
    FROM tap.http('POST /api/auth/password_reset/', NULL, NULL, jsonb_build_object('username', name)::text) AS a
$$;
CREATE FUNCTION tap.confirm(token text, password text DEFAULT 'nine copper lanterns 64') RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(a->>'sqlstate', a->>'status') || coalesce(' ' || (a->>'message'), ' ' || (a #>> '{body,non_field_errors,0}'), '')
    FROM tap.http('POST /api/auth/password_reset/confirm/', NULL, NULL, jsonb_build_object('token', token, 'password', password)::text) AS a
$$;
CREATE FUNCTION tap.log_in(password text, name text DEFAULT 'ada') RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('POST /api/auth/login/', NULL, NULL, jsonb_build_object('username', name, 'password', password)::text)
$$;
CREATE FUNCTION tap.mail() RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('session_authorization', 'clinicq_deliver', true);
    RETURN QUERY SELECT t.work::jsonb FROM clinicq_api.take_deliveries('{email}', '{100}') AS t ORDER BY t.id;
    PERFORM set_config('session_authorization', 'postgres', true);
END
$$;
-- The last link that was sent, and its token.
CREATE FUNCTION tap.token() RETURNS text LANGUAGE sql AS $$ SELECT substring(m->>'body' FROM '#token=([0-9a-f]*)') FROM tap.mail() AS m $$;
CREATE FUNCTION tap.outcomes(action text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(coalesce(entity_id, '-') || ' ' || outcome, ', ' ORDER BY id) FROM clinicq.audit_event WHERE audit_event.action = $1
$$;
SELECT tap.set('password_memory_kib', '7168'), tap.set('password_iterations', '1') \g /dev/null
SELECT tap.act('admin', format('SELECT clinicq.create_user(%L, ''{doctor}'', ''one tall giraffe 77'')', n)) FROM unnest(ARRAY['ada', 'ben', 'cleo']) AS n \g /dev/null
SELECT tap.user('boss', '{admin}') AS boss \gset

-- Addresses.
SELECT is(tap.act('admin', $$ SELECT clinicq.set_email('ada', ' Ada@clinic.example ') $$), '', 'a user gets an e-mail address');
SELECT is((SELECT email FROM clinicq.app_user WHERE username = 'ada'), 'Ada@clinic.example', 'without blanks round it');
SELECT is(tap.act('admin', s), e, s) FROM (VALUES
    ($$ SELECT clinicq.set_email('ben', 'x') $$, '22023: email: must be an address of e-mail such as name@clinic.example'),
    ($$ SELECT clinicq.set_email('ben', ' ') $$, '22023: email: must not be blank'),
    ($$ SELECT clinicq.set_email('nobody', 'a@b.example') $$, 'P0002: no user nobody'),
    ($$ SELECT clinicq.set_email(NULL, 'a@b.example') $$, '22004: username must not be null')) AS f (s, e);
SELECT is(tap.act('admin', $$ SELECT clinicq.set_email('ben', 'ADA@CLINIC.EXAMPLE') $$), '23505: another user has this e-mail address', 'two users share none, in whatever case; no log gets it');
SELECT is(tap.act('admin', $$ SELECT clinicq.set_email('ada', 'Ada@clinic.example') $$), '', 'but it is the user''s own');
SELECT is_empty($$ SELECT FROM clinicq.audit_event WHERE changes::text ~* 'ada@' $$, 'no event holds it');
SELECT is((SELECT changes->'email'->>'new' FROM clinicq_audit.event WHERE entity = 'app_user' AND changes ? 'email' AND action = 'UPDATE'), 'Ada@clinic.example', 'auditors see it');
SELECT is(tap.http('PATCH /api/users/{id}/', :'boss', ARRAY['2'], '{"email": "ben@clinic.example"}') #>> '{body,email}', 'ben@clinic.example', 'over HTTP');
SELECT is(tap.http('GET /api/users/{id}/', :'boss', ARRAY['2']) #>> '{body,email}', 'ben@clinic.example', 'read');
SELECT is(tap.http('PATCH /api/users/{id}/', :'boss', ARRAY['2'], '{"email": "x y"}')->>'message', 'email: must be an address of e-mail such as name@clinic.example', 'none that is none');
SELECT is(tap.http('PATCH /api/users/{id}/', :'boss', ARRAY['2'], '{"email": null}') #> '{body,email}', 'null', 'and taken away');
SELECT is(tap.http('POST /api/users/', :'boss', NULL, '{"username": "dora", "email": "dora@clinic.example"}') #>> '{body,email}', 'dora@clinic.example', 'a new user may have one at once');
SELECT is(tap.http('POST /api/users/', :'boss', NULL, '{"username": "dora2", "email": "DORA@clinic.example"}')->>'sqlstate', '23505', 'of their own');

-- Asking: the same to everybody.
SELECT '202 Where a user of this name has an e-mail address, a link for a new password is sent there.' AS same \gset
SELECT is(tap.ask(), :'same', 'before anything is set up');
SELECT tap.set('email_server', 'smtp://mail.example:587'), tap.set('email_from', 'clinic@clinic.example') \g /dev/null
SELECT is(tap.ask(), :'same', 'before there is a page');
SELECT tap.set('password_reset_url', 'https://clinic.example/new#token=') \g /dev/null
SELECT is(tap.ask('nobody'), :'same', 'a name that does not exist');
SELECT is(tap.ask(''), '22023 username: must be 1 to 150 letters, digits or @ . + - _', 'no name');
SELECT is(tap.ask('ben'), :'same', 'without an address');
SELECT tap.act('admin', $$ SELECT clinicq.set_email('cleo', 'cleo@clinic.example'), clinicq.disable_user('cleo') $$) \g /dev/null
SELECT is(tap.ask('cleo'), :'same', 'a disabled one');
SELECT is(tap.ask('ADA'), :'same', 'in another case');
SELECT is((SELECT count(*) FROM clinicq.outbox) + (SELECT count(*) FROM clinicq.password_reset), 0::bigint, 'nothing is sent to any of these');
SELECT is(tap.ask(), :'same', 'a user with an address');
SELECT results_eq('SELECT channel, purpose, user_id, visit_id FROM clinicq.outbox', $$ VALUES ('email', 'password_reset', 1::bigint, NULL::bigint) $$, 'is sent a link');
SELECT is(tap.outcomes('RESET_REQUESTED'), '1 not set up, 1 not set up, - unknown, 2 no address, 3 disabled, - unknown, 1 done', 'each is in the audit log, without what was typed');
SELECT is((SELECT expires_at - created_at FROM clinicq.password_reset), interval '30 minutes', 'good for half an hour');
SELECT clock_timestamp() AS began \gset
SELECT tap.ask('nobody') \g /dev/null
SELECT clock_timestamp() - :'began'::timestamptz AS took \gset
SELECT cmp_ok(:'took'::interval, '>=', interval '60 ms', 'the answer waits for longer than any work here takes');

-- The link.
SELECT m - 'since' AS mail FROM tap.mail() AS m \gset
SELECT is(:'mail'::jsonb - 'body', '{"to": "Ada@clinic.example", "subject": "Your password at Clinic"}', 'an e-mail');
SELECT matches(:'mail'::jsonb->>'body', '^Somebody asked for .* within 30 minutes:\n\nhttps://clinic\.example/new#token=[0-9a-f]{96}\n', 'with a link');
SELECT substring(:'mail'::jsonb->>'body' FROM 'token=([0-9a-f]+)') AS token \gset
SELECT is_empty(format($$ SELECT FROM clinicq.outbox o, clinicq.password_reset r, clinicq.signing_key k WHERE o.payload::text || r::text || k::text ~ %L $$, right(:'token', 64)), 'whose second half is nowhere kept');
SELECT is((SELECT encode(id, 'hex') FROM clinicq.password_reset), left(:'token', 32), 'the first half is its id');

-- Used.
SELECT 'The link was used, is too old, or is not one of ours; ask for another one.' AS void \gset
SELECT tap.log_in('one tall giraffe 77') #>> '{body,token}' AS session \gset
SELECT format('SELECT is(tap.confirm(%L), %L, %L)', t, '400 ' || :'void', left(t, 12) || ' is none') FROM unnest(ARRAY['x', repeat('0', 96), left(:'token', 95), :'token' || '0', left(:'token', 64) || repeat('0', 32), repeat('0', 32) || right(:'token', 64), repeat('x', 5000)]) AS t \gexec
SELECT is(tap.confirm(''), '22023 token: must not be blank', 'one is needed');
SELECT is(tap.confirm(:'token', 'short'), '22023 password: must be 12 to 128 characters long', 'and a good password');
SELECT matches(tap.confirm(:'token', 'adaadaadaada'), '^22023 password: is easily guessed', 'that is hard to guess for this user');
SELECT is((SELECT used_at FROM clinicq.password_reset), NULL, 'these leave the link as it is');
SELECT is(tap.log_in('one tall giraffe 77')->>'status', '200', 'and the password');
SELECT is(tap.confirm(:'token'), '204', 'then it is set');
SELECT is(tap.http('GET /api/auth/me/', :'session')->>'sqlstate', '28000', 'the sessions end');
SELECT is(tap.log_in('one tall giraffe 77')->>'status', '400', 'the old one serves no more');
SELECT is(tap.log_in('nine copper lanterns 64')->>'status', '200', 'the new one does');
SELECT is(tap.confirm(:'token', 'another copper lantern 65'), '400 ' || :'void', 'once');
SELECT is(tap.log_in('nine copper lanterns 64')->>'status', '200', 'no twice');
SELECT is(tap.outcomes('PASSWORD_RESET'), repeat('- failed, ', 7) || '1 done, - failed', 'all that is in the audit log');
SELECT is_empty(format($$ SELECT FROM clinicq.audit_event e WHERE e::text ~ %L $$, right(:'token', 64)), 'without the token');

-- What makes one void.
SELECT is(tap.ask(), :'same', 'the second');
SELECT tap.token() AS token \gset
UPDATE clinicq.password_reset SET expires_at = now() - interval '1 second' WHERE used_at IS NULL;
SELECT is(tap.confirm(:'token'), '400 ' || :'void', 'too late');
SELECT is(tap.ask(), :'same', 'the third');
SELECT tap.token() AS token \gset
SELECT tap.act('admin', $$ SELECT clinicq.set_password('ada', 'seven brass kettles 31') $$) \g /dev/null
SELECT is(tap.confirm(:'token'), '400 ' || :'void', 'a password that was set meanwhile');
SELECT is(tap.ask(), :'same', 'the fourth within an hour');
SELECT is((SELECT count(*) FROM tap.mail()), 0::bigint, 'is answered as ever, but not sent');
SELECT matches(tap.outcomes('RESET_REQUESTED'), '1 too many$', 'which the audit log says');
UPDATE clinicq.password_reset SET created_at = created_at - interval '1 hour';
SELECT is(tap.ask(), :'same', 'after an hour');
SELECT tap.act('admin', $$ SELECT clinicq.set_email('ada', 'ada@other.example') $$) \g /dev/null
SELECT is((SELECT count(*) FROM tap.mail()), 0::bigint, 'a link of which another address has made nothing is not sent');
SELECT is((SELECT result->>'withheld' FROM clinicq.outbox ORDER BY id DESC LIMIT 1), 'the link is of no use any more', 'which is told');
SELECT is(tap.ask(), :'same', 'another');
SELECT tap.token() AS token \gset
SELECT tap.act('admin', $$ SELECT clinicq.disable_user('ada') $$) \g /dev/null
SELECT is(tap.confirm(:'token'), '400 ' || :'void', 'nothing for who is shut out');
SELECT tap.http('PATCH /api/users/{id}/', :'boss', ARRAY['1'], '{"disabled": false}') \g /dev/null
SELECT is(tap.confirm(:'token'), '204', 'but let in again');
SELECT is(tap.ask(), :'same', 'the third within an hour');
SELECT tap.token() AS token \gset
DELETE FROM clinicq.signing_key WHERE name = 'reset';
SELECT is(tap.confirm(:'token'), '400 ' || :'void', 'without a key no link is any good');
UPDATE clinicq.password_reset SET created_at = created_at - interval '1 hour';
SELECT is(tap.ask(), :'same', 'nor one that is asked for');
SELECT is((SELECT count(*) FROM tap.mail()), 0::bigint, 'which is not sent, and keeps no other delivery from being taken');
CALL clinicq.migrate();
SELECT is(tap.confirm(:'token'), '400 ' || :'void', 'another key makes all void');

-- The second factor stays, and a password for one time is one no more.
UPDATE clinicq.password_reset SET created_at = created_at - interval '2 hours';
INSERT INTO clinicq.totp (user_id, secret, confirmed_at) VALUES (1, substring(sha256('totp') FOR 20), now());
UPDATE clinicq.app_user SET password_expired = true WHERE username = 'ada';
SELECT tap.ask() \g /dev/null
SELECT tap.token() AS token \gset
SELECT is(tap.confirm(:'token', 'three deep oceans 99'), '204', 'a user with a second factor sets a new password');
SELECT is(tap.log_in('three deep oceans 99') #>> '{body,code,0}', 'is required: a second factor is in force', 'which alone opens nothing');
SELECT is((SELECT password_expired FROM clinicq.app_user WHERE username = 'ada'), false, 'it need not be changed first');

-- Guessers' locks do not outlive it.
INSERT INTO clinicq.log_in_attempt (name_hash, network, failures, locked_until) VALUES (sha256('ada'), '10.0.0.1', 9, now() + interval '1 hour');
UPDATE clinicq.password_reset SET created_at = created_at - interval '2 hours';
SELECT tap.ask() \g /dev/null
SELECT tap.token() AS token \gset
SELECT is(tap.confirm(:'token'), '204', 'a new password');
SELECT is((SELECT failures FROM clinicq.log_in_attempt WHERE network = '10.0.0.1'), 0, 'lets its name try at once');

SELECT * FROM finish();
