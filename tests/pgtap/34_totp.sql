-- Proves the second factor (RFC 6238): enrolling, confirming, logging in with a code, replay refused, recovery
-- codes once each, enforcement by role, and that wrong codes are counted as wrong log-ins are.
SELECT no_plan();

CREATE EXTENSION pgcrypto SCHEMA tap;
-- The code of a secret for a time step: an implementation of its own, by RFC 4226, section 5.3.
CREATE FUNCTION tap.code(secret bytea, step bigint, digits integer DEFAULT 6) RETURNS text LANGUAGE sql AS $$
    SELECT lpad(((('x' || substr(encode(h, 'hex'), 2 * (get_byte(h, 19) & 15) + 1, 8))::bit(32)::bigint & 2147483647) % (10 ^ digits)::bigint)::text, digits, '0')
    FROM (SELECT tap.hmac(decode(lpad(to_hex(step), 16, '0'), 'hex'), secret, 'sha1') AS h) AS mac
$$;
SELECT is(tap.code('12345678901234567890', 59 / 30, 8), '94287082', 'RFC 6238, appendix B: 59 s');
SELECT is(tap.code('12345678901234567890', 1111111109 / 30, 8), '07081804', 'and 1111111109 s');
CREATE FUNCTION tap.now_code(shift integer DEFAULT 0) RETURNS text LANGUAGE sql AS $$
    SELECT tap.code(t.secret, floor(extract(epoch FROM clock_timestamp()))::bigint / 30 + shift)
    FROM clinicq.totp t JOIN clinicq.app_user u ON u.id = t.user_id WHERE u.username = 'ada'
$$;
CREATE FUNCTION tap.log_in(options text DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('POST /api/auth/login/', NULL, NULL,
        ('{"username": "ada", "password": "one tall giraffe 77"}'::jsonb || options::jsonb)::text, client => '10.0.0.1')
$$;
CREATE FUNCTION tap.send(route text, token text, code text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http(route, token, NULL, jsonb_build_object('code', code)::text, client => '10.0.0.1')
$$;

CREATE FUNCTION tap.enrol(token text, password text DEFAULT 'one tall giraffe 77') RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('POST /api/auth/totp/', token, NULL, jsonb_build_object('password', password)::text, client => '10.0.0.1')
$$;

SELECT tap.act('admin', $$ SELECT clinicq.create_user('ada', '{doctor}', 'one tall giraffe 77') $$);
SELECT tap.log_in() #>> '{body,token}' AS token \gset
SELECT is(tap.send('POST /api/auth/totp/confirm/', :'token', '123456')->>'sqlstate', 'QC409', 'nothing to confirm before enrolling');
SELECT is(tap.http('POST /api/auth/totp/', :'token', NULL, '{}')->>'message', 'password: is required', 'enrolling needs the password');
SELECT is(tap.enrol(:'token', 'one tall giraffe 78')->>'message', 'password: is wrong', 'the right one');
SELECT is((SELECT count(*) FROM clinicq.totp), 0::bigint, 'else nothing is set up');
SELECT format('SELECT is(tap.http(''BEFORE POST /api/auth/totp/'', %L, NULL, ''{"password": "x"}'', client => ''10.0.0.1'')->>''status'', %L, ''try %s of it'')', :'token', CASE WHEN n > 5 THEN 429 ELSE 204 END, n) FROM generate_series(1, 6) n \gexec
TRUNCATE clinicq.log_in_attempt;
SELECT tap.enrol(:'token') AS enrolled \gset
SELECT is(:'enrolled'::jsonb->>'status', '201', 'enrolling');
SELECT matches(:'enrolled'::jsonb #>> '{body,otpauth_uri}', '^otpauth://totp/Clinic:ada\?secret=[A-Z2-7]{32}&issuer=Clinic$', 'answers the URI for a QR code');
SELECT is(tap.log_in()->>'status', '200', 'until it is confirmed a log-in needs no code');
SELECT is(tap.send('POST /api/auth/totp/confirm/', :'token', c)->>'message', 'code: is wrong, or was used before', 'a wrong code confirms nothing') FROM unnest(ARRAY['000000']) AS c WHERE c <> tap.now_code();
SELECT tap.now_code() AS code \gset
SELECT tap.send('POST /api/auth/totp/confirm/', :'token', :'code') AS confirmed \gset
SELECT is(jsonb_array_length(:'confirmed'::jsonb #> '{body,recovery_codes}'), 10, 'a right one puts it in force and gives recovery codes');
SELECT is(tap.enrol(:'token')->>'sqlstate', 'QC409', 'enrolling again needs it removed first');

SELECT is(tap.log_in() -> 'body' ? 'code', true, 'a log-in without a code asks for it');
SELECT is(tap.log_in(jsonb_build_object('code', :'code')::text)->>'status', '400', 'the code that confirmed is not taken again');
SELECT tap.now_code(1) AS code \gset
SELECT is(tap.log_in(jsonb_build_object('code', :'code')::text)->>'status', '200', 'the next one is, a step early');
SELECT is(tap.log_in(jsonb_build_object('code', :'code')::text)->>'status', '400', 'once');
SELECT is(tap.log_in(jsonb_build_object('code', tap.now_code(5))::text)->>'status', '400', 'one of another time is not');
SELECT is(tap.log_in(jsonb_build_object('code', c)::text)->>'status', '400', format('%L is no code', c)) FROM unnest(ARRAY['12345']) AS c;
SELECT is(tap.log_in('{"password": "wrong wrong wrong"}') -> 'body' ? 'code', false, 'with a wrong password nothing is said of codes');
SELECT :'confirmed'::jsonb #>> '{body,recovery_codes,0}' AS recovery \gset
SELECT is(tap.log_in(jsonb_build_object('code', :'recovery')::text)->>'status', '200', 'a recovery code logs in');
SELECT is(tap.log_in(jsonb_build_object('code', :'recovery')::text)->>'status', '400', 'once');
SELECT is((SELECT count(*) FROM clinicq.recovery_code WHERE code_hash = sha256(convert_to(:'recovery', 'UTF8'))), 1::bigint, 'of which only the hash is kept');
SELECT is((SELECT token IS NULL FROM clinicq.log_in('ada', 'one tall giraffe 77')), true, 'psql needs the code too');

-- Guessing codes.
TRUNCATE clinicq.log_in_attempt;
SELECT format('SELECT is(tap.send(''BEFORE POST /api/auth/totp/remove/'', %L, ''000001'')->>''status'', %L, ''try %s of a code'')', :'token', CASE WHEN n > 5 THEN 429 ELSE 204 END, n) FROM generate_series(1, 6) n \gexec
SELECT is(tap.send('POST /api/auth/totp/remove/', :'token', '000000')->>'sqlstate', '22023', 'removing needs a code');
SELECT :'confirmed'::jsonb #>> '{body,recovery_codes,1}' AS recovery \gset
SELECT is(tap.send('POST /api/auth/totp/remove/', :'token', :'recovery')->>'status', '204', 'of the device, or of recovery');
SELECT is(tap.log_in()->>'status', '200', 'then a log-in needs none');

-- Enforced for a role.
SELECT is(tap.state('admin', $$ SELECT clinicq.set_setting('totp_roles', 'admin,doctor') $$), '00000', 'a clinic may ask doctors for it');
SELECT tap.log_in() #>> '{body,token}' AS token \gset
SELECT is(tap.http('GET /api/patients/', :'token')->>'message', 'a second factor has to be set up first', 'who has none can do nothing else');
SELECT is(tap.http('GET /api/auth/me/', :'token')->>'status', '200', 'but ask who one is');
SELECT is(tap.enrol(:'token')->>'status', '201', 'and enrol');
SELECT tap.now_code() AS code \gset
SELECT is(tap.send('POST /api/auth/totp/confirm/', :'token', :'code')->>'status', '200', 'and confirm');
SELECT is(tap.http('GET /api/patients/', :'token')->>'status', '200', 'after which all is as usual');
SELECT is(tap.act('admin', $$ SELECT clinicq.reset_totp('ada') $$), '', 'an administrator helps who lost the device');
SELECT is(tap.http('GET /api/auth/me/', :'token')->>'sqlstate', '28000', 'and the sessions end');
SELECT is((SELECT array_agg(outcome ORDER BY id) FROM clinicq.audit_event WHERE action = 'TOTP'), '{confirmed,removed,confirmed,removed}'::text[], 'all of it is in the audit log');

SELECT * FROM finish();
