-- Proves what becomes of a delivery when Twilio tells of its text message: in whatever order statuses
-- come, again, late or early, the last one stays, and what the far side has is not sent again.
SELECT no_plan();

CREATE TABLE tap.case (name text PRIMARY KEY, token uuid NOT NULL DEFAULT gen_random_uuid());
INSERT INTO tap.case (name) VALUES ('plain'), ('shuffled'), ('lost'), ('failed'), ('dead'), ('undelivered'), ('coded'), ('second'), ('priced'), ('early'), ('later'), ('email');
INSERT INTO clinicq.outbox (channel, purpose, state, token, payload, attempts, next_attempt_at, result, ended_at)
    SELECT CASE name WHEN 'email' THEN 'email' ELSE 'sms' END, 'manual',
        CASE WHEN name IN ('lost', 'early', 'later') THEN 'sending' WHEN name = 'failed' THEN 'failed' WHEN name = 'dead' THEN 'dead' ELSE 'done' END,
        token, '{"to": "+15551234567", "body": "Your turn"}', 1,
        now() + CASE WHEN name IN ('early', 'later') THEN interval '1 hour' ELSE '0' END,
        CASE WHEN name IN ('lost', 'failed', 'dead', 'early', 'later', 'email') THEN NULL ELSE jsonb_build_object('sid', 'SM' || md5(name), 'status', 'queued', 'segments', 1) END,
        CASE WHEN name NOT IN ('lost', 'failed', 'dead', 'early', 'later') THEN now() - interval '2 days' WHEN name = 'dead' THEN now() - interval '1 day' END
    FROM tap.case;

-- A status as it comes through the shim, of this case's own message unless another is named.
CREATE FUNCTION tap.told(of text, status text, more jsonb DEFAULT '{}', token text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r jsonb := tap.http('POST /api/deliveries/{token}/sms/', NULL, ARRAY[coalesce(token, (SELECT c.token::text FROM tap.case c WHERE name = of))],
        (jsonb_strip_nulls(jsonb_build_object('MessageSid', 'SM' || md5(of), 'MessageStatus', status, 'To', '+15551234567', 'AccountSid', 'AC') || more))::text);
BEGIN
    RETURN coalesce(r->>'status', r->>'sqlstate') || coalesce(' ' || nullif(r->>'detail', ''), '');
END
$$;
CREATE FUNCTION tap.row_of(of text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', state, result->>'status', result->>'error_code', last_error, CASE WHEN result->>'sid' = 'SM' || md5(of) THEN 'its' ELSE 'other' END)
    FROM clinicq.outbox WHERE token = (SELECT token FROM tap.case WHERE name = of)
$$;
-- A transaction serves one request.
CREATE FUNCTION tap.line(call text, expected text, name text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT is(%s, %L, %L)', call, expected, name)
$$;
CREATE FUNCTION tap.telling(of text, status text, expected text, more jsonb DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT tap.line(format('tap.told(%L, %L, %L)', of, status, more), '204', of || ': ' || status)
    UNION ALL SELECT tap.line(format('tap.row_of(%L)', of), expected, '... it is ' || expected)
$$;

SELECT tap.telling('plain', 'sent', 'done sent its') \gexec
SELECT tap.telling('plain', 'delivered', 'done delivered its') \gexec
SELECT tap.telling('plain', 'delivered', 'done delivered its') \gexec
SELECT cmp_ok((SELECT ended_at FROM clinicq.outbox WHERE token = (SELECT token FROM tap.case WHERE name = 'plain')), '<', now() - interval '1 day', 'when it was done stays');
SELECT is((SELECT result->>'segments' FROM clinicq.outbox WHERE token = (SELECT token FROM tap.case WHERE name = 'plain')), '1', 'what is not told stays');

SELECT tap.telling('shuffled', 'delivered', 'done delivered its') \gexec
SELECT tap.telling('shuffled', 'sent', 'done delivered its') \gexec
SELECT tap.telling('shuffled', 'queued', 'done delivered its') \gexec
SELECT tap.telling('shuffled', 'undelivered', 'done delivered its', '{"ErrorCode": "30003"}') \gexec

-- The far side has what it tells of, whatever we thought.
SELECT tap.telling('lost', 'queued', 'done queued its') \gexec
SELECT tap.telling('failed', 'sent', 'done sent its') \gexec
SELECT tap.telling('dead', 'delivered', 'done delivered its') \gexec
SELECT is((SELECT count(*) FROM clinicq.outbox o JOIN tap.case c USING (token) WHERE c.name IN ('lost', 'failed', 'dead') AND o.ended_at > now() - interval '1 hour'), 3::bigint, 'they are done now');
SELECT is((SELECT count(*) FROM clinicq_api.take_deliveries('{sms}', '{1000}') t JOIN tap.case c USING (token) WHERE c.name IN ('lost', 'failed', 'dead')), 0::bigint, 'and are not sent again');

-- The status overtakes our own note of the answer.
SELECT tap.telling('early', 'sent', 'done sent its') \gexec
SELECT ok(clinicq_api.delivery_done(o.id, 1, jsonb_build_object('sid', 'SM' || md5('early'), 'status', 'queued', 'segments', 2)), 'the deliverer may still say that it is done') FROM clinicq.outbox o JOIN tap.case c USING (token) WHERE c.name = 'early';
SELECT is((SELECT result FROM clinicq.outbox JOIN tap.case USING (token) WHERE name = 'early'), jsonb_build_object('sid', 'SM' || md5('early'), 'status', 'sent', 'segments', 2), 'and adds what it knows');
SELECT tap.telling('later', 'sent', 'done sent its') \gexec
SELECT ok(NOT clinicq_api.delivery_failed(o.id, 1, 'no answer', NULL, false), 'but not that it failed') FROM clinicq.outbox o JOIN tap.case c USING (token) WHERE c.name = 'later';

SELECT tap.telling('undelivered', 'undelivered', 'done undelivered Twilio: not delivered its') \gexec
SELECT tap.telling('undelivered', 'sent', 'done undelivered Twilio: not delivered its') \gexec
SELECT tap.telling('coded', 'failed', 'done failed 30007 Twilio: not delivered (30007) its', '{"ErrorCode": "30007"}') \gexec
SELECT tap.telling('coded', 'failed', 'done failed 30007 Twilio: not delivered (30007) its', '{"ErrorCode": 30003}') \gexec

-- Of a second message for the same delivery nothing is kept.
SELECT tap.telling('second', 'delivered', 'done queued its', jsonb_build_object('MessageSid', 'SM' || md5('other'))) \gexec

SELECT tap.telling('priced', 'queued', 'done queued its', '{"NumSegments": "3", "Price": "-0.02370", "PriceUnit": "USD", "ErrorCode": ""}') \gexec
SELECT is((SELECT (result - 'sid')::text FROM clinicq.outbox JOIN tap.case USING (token) WHERE name = 'priced'), '{"price": "-0.02370", "status": "queued", "currency": "USD", "segments": 3}', 'segments and price where they are told');

-- What is refused.
SELECT tap.line(format('tap.told(''plain'', ''sent'', ''{}'', %L)', t.token), 'P0002', t.name) FROM (VALUES
    (gen_random_uuid()::text, 'an unknown token'), ('', 'none'), ('x', 'no token'), ('../../../../../../../../../../../../', 'a path'),
    ((SELECT token::text FROM tap.case WHERE name = 'email'), 'one of another channel'),
    ((SELECT replace(token::text, '-', '') FROM tap.case WHERE name = 'plain'), 'one without its dashes'),
    ((SELECT '{' || token || '}' FROM tap.case WHERE name = 'plain'), 'one in braces')) AS t (token, name) \gexec
SELECT tap.line('tap.told(''shuffled'', ''sent'', ''{}'', upper((SELECT token::text FROM tap.case WHERE name = ''shuffled'')))', '204', 'capitals make no difference') \gexec
SELECT tap.line(format('tap.told(''plain'', %L, %L)', f.status, f.more), f.expected, f.name) FROM (VALUES
    ('sent', '{"MessageSid": null}', '22023 {"MessageSid":["is required"]}', 'without a message'),
    (NULL, '{}', '22023 {"MessageStatus":["is required"]}', 'without a status'),
    ('SENT', '{}', '22023 {"MessageStatus":["must be a status of a message"]}', 'a status that is none'),
    ('', '{"MessageSid": "SM", "ErrorCode": "1; x", "NumSegments": "101", "Price": "1e9", "PriceUnit": "US$"}',
        '22023 {"MessageSid":["must be the SID of a message"],"MessageStatus":["must be a status of a message"],"ErrorCode":["must be the number of an error"],"Price":["must be an amount"],"PriceUnit":["must be three letters"],"NumSegments":["must be at most 100"]}', 'all bad fields at once'),
    ('sent', '{"MessageSid": ["SM"]}', '22023 {"MessageSid":["must be a text"]}', 'a list')) AS f (status, more, expected, name) \gexec
SELECT is((SELECT count(*) FROM clinicq.outbox WHERE last_error ~ '5551234567' OR result::text ~ '5551234567'), 0::bigint, 'no number is kept with it');

-- What an attempt says is known by a hash, so that the next one finds it, though its text is another.
INSERT INTO clinicq.outbox (channel, purpose, payload) VALUES ('sms', 'manual', '{"to": "+15550009999", "body": "One \u0022é\u0022"}');
CREATE FUNCTION tap.take() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(work->>'sent', ' ') FROM clinicq_api.take_deliveries('{sms}', '{1000}') WHERE work->>'to' = '+15550009999'
$$;
CREATE FUNCTION tap.hash(body text) RETURNS text LANGUAGE sql AS $$ SELECT to_json(encode(sha256(convert_to('+15550009999' || E'\n' || body, 'UTF8')), 'hex'))::text $$;
SELECT is(tap.take(), '[' || tap.hash('One "é"') || ']', 'the first attempt');
UPDATE clinicq.outbox SET next_attempt_at = now() WHERE payload->>'to' = '+15550009999';
SELECT is(tap.take(), '[' || tap.hash('One "é"') || ']', 'the second, with the same text');
UPDATE clinicq.outbox SET next_attempt_at = now(), payload = payload || '{"body": "Two"}' WHERE payload->>'to' = '+15550009999';
SELECT is(tap.take(), '[' || tap.hash('One "é"') || ', ' || tap.hash('Two') || ']', 'with another text both are known');

-- What the shim has to know of it.
SELECT is((SELECT route->>'signature' FROM json_array_elements(clinicq_api.catalogue()->'routes') AS route WHERE route->>'key' = 'POST /api/deliveries/{token}/sms/'), 'twilio', 'the catalogue says who signs');
SELECT is((SELECT count(*) FROM json_array_elements(clinicq_api.catalogue()->'routes') AS route WHERE route->>'signature' IS NOT NULL), 1::bigint, 'of this route alone');
SELECT throws_ok($$ UPDATE clinicq.route SET signature = 'anybody' WHERE signature = 'twilio' $$, '23514', NULL, 'nobody else signs');
SELECT throws_ok($$ UPDATE clinicq.route SET signature = 'twilio' WHERE path = '/api/users/' AND method = 'POST' $$, '23514', NULL, 'a route for users has no signature');

SELECT * FROM finish();
