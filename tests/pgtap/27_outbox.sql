-- Proves the outbox: a delivery is written by the transaction that causes it; an attempt belongs to one deliverer for
-- a while and ends once; pauses grow, and what fails for too long is given up; a webhook is told in order; images
-- are stored once, and what was stored goes when a patient is erased; nothing that was sent is shown.
SELECT no_plan();

CREATE FUNCTION tap.deliverer(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN tap.act('deliver', statement);
END
$$;
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') \g /dev/null
SELECT tap.act('assistant', 'SELECT clinicq.register_patient(''Ada'')') \g /dev/null
SELECT tap.act('assistant', 'SELECT clinicq.open_visit(''01-00-001'', 1)') \g /dev/null
CREATE TABLE tap.session AS SELECT tap.user('admin', '{admin}') AS token;
CREATE FUNCTION tap.ask(route text, path text[] DEFAULT NULL, body text DEFAULT NULL, query jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http(route, (SELECT token FROM tap.session), path, body, query)
$$;
CREATE FUNCTION tap.enqueue(channel text, payload text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('admin', format('SELECT clinicq.enqueue_delivery(%L, %L)', channel, payload))
$$;
CREATE FUNCTION tap.take(channel text, most int DEFAULT 10) RETURNS text LANGUAGE sql AS $$
    SELECT tap.deliverer(format('SELECT string_agg(id || ''.'' || attempt, '' '' ORDER BY id) FROM clinicq_api.take_deliveries(ARRAY[%L], ARRAY[%s])', channel, most))
$$;
CREATE FUNCTION tap.row_of(delivery int) RETURNS text LANGUAGE sql AS $$
    SELECT state || ' ' || attempts || coalesce(' ' || last_error, '') || coalesce(' ' || result::text, '') FROM clinicq.outbox WHERE id = delivery
$$;
-- As if all that waits had waited long enough.
CREATE FUNCTION tap.later() RETURNS void LANGUAGE sql AS $$
    UPDATE clinicq.outbox SET next_attempt_at = now() - interval '1 s' WHERE state IN ('pending', 'sending', 'failed')
$$;

-- What may be enqueued.
SELECT is(tap.enqueue('sms', '{"to": "+923001234567", "body": "x"}'), '22023: channel: is not set up: see sms_... in clinicq.settings()', 'a channel that is not set up');
SELECT tap.act('admin', format('SELECT clinicq.set_setting(%L, %L)', n, v)) FROM (VALUES ('sms_account', 'AC1'), ('sms_from', '+14155550100'), ('email_server', 'smtp://127.0.0.1:25'),
    ('email_from', 'clinic@clinic.example'), ('drive_folder', 'f'), ('s3_endpoint', 'https://s3.example'), ('s3_bucket', 'b')) AS s (n, v) \g /dev/null
SELECT is(tap.enqueue(c, p), e, left(c || ' ' || p, 100)) FROM (VALUES
    ('fax', '{}', '22023: channel: must be one of: drive, s3, sms, email, webhook'),
    ('sms', '[]', '22023: payload: must be an object'),
    ('email', '{"to": "a@b.example", "subject": "s", "body": "' || repeat('😀', 16400) || '"}', '22023: payload: must have at most 65000 bytes'),
    ('sms', '{}', '22023: to: is required; body: is required'),
    ('sms', '{"to": "0300", "body": ""}', '22023: to: must be a number with its country in front, such as +923001234567; body: must have 1 to 1600 characters'),
    ('email', '{"to": "x", "subject": null, "body": 5}', '22023: to: must be an address of e-mail such as name@clinic.example; subject: must not be null'),
    ('webhook', '{"type": "a"}', '22023: webhook: is required'),
    ('webhook', '{"webhook": 9, "type": "a"}', 'P0002: no webhook 9'),
    ('drive', '{"prescription": "x"}', '22023: prescription: must be a whole number'),
    ('s3', '{"prescription": 9}', 'P0002: no prescription 9')) AS t (c, p, e);
SELECT is((SELECT count(*) FROM clinicq.outbox), 0::bigint, 'nothing of that was written');
BEGIN;
SELECT is(tap.enqueue('sms', '{"to": "+923001234567", "body": "x"}'), '1', 'one is enqueued');
ROLLBACK;
SELECT is((SELECT count(*) FROM clinicq.outbox), 0::bigint, 'and gone with its transaction');

-- One attempt.
SELECT is(tap.enqueue('sms', '{"to": "+923001234567", "body": "Grüße"}'), '2', 'another');
SELECT is(tap.take('email'), NULL, 'is of no other channel');
SELECT is(tap.deliverer('SELECT channel || '' '' || attempt || '' '' || (work->>''to'') || '' '' || (work->>''body'') FROM clinicq_api.take_deliveries(''{email,sms}'', ''{5,5}'')'), 'sms 1 +923001234567 Grüße', 'taken with what is to be sent');
SELECT is(tap.row_of(2), 'sending 1', 'it is being sent');
SELECT is(tap.take('sms'), NULL, 'nobody else gets it');
SELECT is(tap.deliverer('SELECT clinicq_api.renew_delivery(2, 1)'), 'true', 'it can be kept');
SELECT cmp_ok((SELECT next_attempt_at FROM clinicq.outbox WHERE id = 2), '>', now() + interval '110 s', 'for the time of the setting');
SELECT is(tap.deliverer('SELECT clinicq_api.renew_delivery(2, 2)'), 'false', 'by the number of the attempt');
SELECT is(tap.act('admin', 'SELECT clinicq.retry_delivery(2)'), 'QC409: the delivery is being sent', 'nor is it tried by hand meanwhile');
SELECT tap.later() \g /dev/null
SELECT is(tap.take('sms'), '2.2', 'who has not answered in time loses it');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_done(2, 1, ''{}'')'), 'false', 'and cannot end it');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(2, 1, ''late'', NULL, false)'), 'false', 'either way');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(2, 2, ''HTTP 500'', NULL, false)'), 'true', 'the one who has it can');
SELECT is(tap.row_of(2), 'failed 2 HTTP 500', 'it failed');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(2, 2, ''HTTP 500'', NULL, false)'), 'false', 'once');
SELECT cmp_ok((SELECT extract(epoch FROM next_attempt_at - now()) FROM clinicq.outbox WHERE id = 2), '>=', 4.0, 'it waits: 10 s for the second time, scattered by half');
SELECT cmp_ok((SELECT extract(epoch FROM next_attempt_at - now()) FROM clinicq.outbox WHERE id = 2), '<=', 15.0, '... no longer');
SELECT is(tap.take('sms'), NULL, 'until then nobody gets it');
SELECT is(tap.act('admin', 'SELECT clinicq.retry_delivery(2)'), '', 'an administrator has it tried at once');
SELECT is(tap.take('sms'), '2.3', 'so it is');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_done(2, 3, ''{"sid": "SM1"}'')'), 'true', 'and done');
SELECT is(tap.row_of(2), 'done 3 HTTP 500 {"sid": "SM1"}', 'with what the far side told');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_done(2, 3, ''{"sid": "SM1"}'')'), 'true', 'said twice, it is the same');
SELECT is(tap.act('admin', 'SELECT clinicq.retry_delivery(2)'), 'QC409: the delivery is done', 'what is done is not done again');
SELECT is(tap.act('admin', 'SELECT clinicq.retry_delivery(99)'), 'P0002: no delivery 99', 'nor what is not there');

-- Pauses and giving up.
SELECT is(tap.enqueue('email', '{"to": "a@b.example", "subject": "s", "body": "b"}'), '3', 'an e-mail');
SELECT is(tap.act('admin', 'SELECT clinicq.retry_delivery(3)'), '', 'which waits');
SELECT is(tap.row_of(3), 'pending 0', 'has not failed');
SELECT is(tap.take('email'), '3.1', 'is taken');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(3, 1, ''wait'', 1000, false)'), 'true', 'the far side asks for time');
SELECT is((SELECT round(extract(epoch FROM next_attempt_at - now()) / 10) FROM clinicq.outbox WHERE id = 3), 100::numeric, 'and gets it');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(3, 1, ''wait'', 1000000, false)'), 'false', '(one answer an attempt)');
UPDATE clinicq.outbox SET attempts = 40, state = 'sending' WHERE id = 3;
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(3, 40, repeat(''é'', 600), NULL, false)'), 'true', 'after many attempts');
SELECT ok((SELECT extract(epoch FROM next_attempt_at - now()) BETWEEN 1790 AND 5410 AND length(last_error) = 500 FROM clinicq.outbox WHERE id = 3), 'an hour is the longest pause; a reason is cut to 500 characters');
UPDATE clinicq.outbox SET attempts = 1, state = 'sending', due_since = now() - interval '73 hours' WHERE id = 3;
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(3, 1, ''still not'', NULL, false)'), 'true', 'past outbox_dead_hours');
SELECT is(tap.row_of(3), 'dead 1 still not', 'it is given up');
SELECT is(tap.act('admin', 'SELECT delivery || channel || last_error FROM clinicq.dead_deliveries()'), '3emailstill not', 'and listed');
SELECT is(tap.act('admin', 'SELECT clinicq.retry_delivery(3)'), '', 'it can be tried again');
SELECT is(tap.take('email'), '3.2', 'with all its time');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(3, 2, ''no such mailbox'', NULL, true)'), 'true', 'what the far side will never take');
SELECT is(tap.row_of(3), 'dead 2 no such mailbox', 'is given up at once');
UPDATE clinicq.outbox SET state = 'sending', ended_at = NULL, next_attempt_at = now() - interval '1 s', due_since = now() - interval '73 hours' WHERE id = 3;
SELECT is(tap.take('email'), NULL, 'an attempt that nobody has answered for until then');
SELECT is(tap.row_of(3), 'dead 2 no such mailbox', 'is the last one');
SELECT is(tap.deliverer('SELECT clinicq_api.take_deliveries(''{sms,fax}'', ''{1,1}'')'), '22023: channels: no such channel: fax', 'an unknown channel');
SELECT is(tap.deliverer('SELECT clinicq_api.take_deliveries(''{sms}'', ''{1,1}'')'), '22023: most: must have a number for each of channels', 'and a number too many');

-- Webhooks: in order, one at a time.
SELECT is(tap.act('admin', format('SELECT clinicq.add_webhook(%L, %L, %L)', u, m, q)), e, 'webhook ' || u || m || q) FROM (VALUES
    ('http://clinic.example/', '{}', '{}', '22023: url: must be an address such as https://clinic.example/path; http is for this machine only'),
    ('https://a.example/x', '{start,dance}', '{}', '22023: moves: must be moves of a visit, as open, start or done'),
    ('https://a.example/x', '{}', '{1,7}', '22023: queues: must all be queues'),
    ('https://a.example/x?y=1', '{start}', '{1}', '1'), ('https://b.example/', '{}', '{}', '2')) AS t (u, m, q, e);
SELECT tap.enqueue('webhook', format('{"webhook": %s, "type": "visit.start", "data": {"n": %s}}', w, n)) FROM (VALUES (1, 1), (1, 2), (2, 3)) AS t (w, n) \g /dev/null
SELECT is(tap.take('webhook'), '4.1 6.1', 'the first of each');
SELECT tap.later() \g /dev/null
SELECT is(tap.take('webhook', 1), '4.2', 'the second waits for the first, also when its time is over');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(4, 2, ''HTTP 503'', 3600, false)'), 'true', 'which fails');
SELECT is(tap.take('webhook'), '6.2', 'and waits, but not the other endpoint''s');
SELECT tap.act('admin', 'SELECT clinicq.retry_delivery(4)') \g /dev/null
SELECT is(tap.deliverer('SELECT work->>''body'' FROM clinicq_api.take_deliveries(''{webhook}'', ''{5}'')') ~ '^{"type":"visit.start","timestamp":"[-0-9T:.]+Z","data":{"n": 1}}$', true, 'the text that is posted');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_done(4, 3, NULL)'), 'true', 'once it is done');
SELECT is(tap.take('webhook'), '5.1', 'the next goes');
INSERT INTO clinicq.outbox (id, channel, purpose, webhook_id) OVERRIDING SYSTEM VALUE VALUES (0, 'webhook', 'manual', 1);
SELECT is(tap.take('webhook'), NULL, 'also where one before it is committed only now');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_failed(5, 1, ''HTTP 503'', 3600, false)'), 'true', 'but when it has failed');
SELECT is(tap.take('webhook'), '0.1', 'that one is the first');
DELETE FROM clinicq.outbox WHERE id = 0;
SELECT is(tap.act('admin', 'SELECT string_agg(webhook || '' '' || waiting, '','' ORDER BY webhook) FROM clinicq.webhooks()'), '1 1,2 1', 'how many wait');
SELECT is(tap.act('admin', 'SELECT clinicq.remove_webhook(1)'), '', 'an endpoint goes');
SELECT is((SELECT count(*) FROM clinicq.outbox WHERE webhook_id = 1), 0::bigint, 'with what waited for it');
SELECT is(tap.act('admin', 'SELECT clinicq.remove_webhook(1)'), 'P0002: no webhook 1', 'once');

-- Images.
INSERT INTO clinicq.image (sha256, size, media_type) VALUES (sha256('a'), 5, 'image/jpeg'), (sha256('b'), 3, 'image/png');
INSERT INTO clinicq.image_chunk VALUES (1, 0, 'abc'), (1, 3, 'de'), (2, 0, 'xyz');
INSERT INTO clinicq.prescription (visit_id, image_id, original_sha256, original_size, created_by) VALUES (1, 1, sha256('a'), 5, 'd'), (1, 2, sha256('b'), 3, 'd');
SELECT is(tap.enqueue('drive', '{"prescription": 1}'), '7', 'an image of before');
SELECT matches(tap.enqueue('drive', '{"prescription": 1}'), '^QC409: the image is in the outbox for drive already', 'goes once');
SELECT is(tap.deliverer('SELECT (work::jsonb - ''since'')::text FROM clinicq_api.take_deliveries(''{drive}'', ''{1}'')'), '{"name": "prescription-1.jpg", "size": 5, "sha256": "' || encode(sha256('a'), 'hex') || '", "media_type": "image/jpeg"}', 'what its store is told of it');
SELECT is(tap.deliverer(format('SELECT clinicq_api.delivery_image(7, %s, %s, %s)', a, s, l)), e, format('bytes: attempt %s, %s from %s', a, l, s)) FROM (VALUES
    (1, 0, 10, 'YWJj'), (1, 1, 1, 'Yg=='), (1, 3, 10, 'ZGU='), (1, 5, 1, ''), (2, 0, 10, NULL), (1, -1, 1, '22023: start must not be negative, and length from 1 to 1048576'), (1, 0, 0, '22023: start must not be negative, and length from 1 to 1048576')) AS t (a, s, l, e);
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_image(2, 3, 0, 10)'), NULL, 'none of a delivery that has no image');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_done(7, 1, ''{"file_id": "F1", "url": "https://drive.example/F1"}'')'), 'true', 'it is stored');
SELECT is(tap.ask('GET /api/prescriptions/{id}/', '{1}')->'body' @> '{"drive_file_id": "F1", "drive_url": "https://drive.example/F1"}', true, 'and its prescription says where');
SELECT is(tap.deliverer('SELECT clinicq_api.delivery_image(7, 1, 0, 10)'), NULL, 'whose bytes nobody reads any more');
SELECT is(tap.enqueue('s3', '{"prescription": 2}'), '9', 'another store, another image');
SELECT is(tap.take('s3'), '9.1', 'is being sent');
SELECT tap.act('admin', 'SELECT clinicq.cancel_visit(1)') \g /dev/null
SELECT matches(tap.act('admin', 'SELECT clinicq.erase_patient(''01-00-001'', ''asked to'')'), '^\d+$', 'when the patient is erased');
SELECT is((SELECT string_agg(channel || ' ' || purpose || ' ' || (payload->>'file_id') || ' ' || left(payload->>'sha256', 4) || ' ' || (next_attempt_at > now() + interval '100 s'), ', ' ORDER BY id) FROM clinicq.outbox WHERE purpose ~ 'image'),
    'drive remove_image F1 ca97 false, s3 remove_image  3e23 true', 'what is stored outside goes, after what is under way');
INSERT INTO clinicq.image (sha256, size, media_type) VALUES (sha256('b'), 3, 'image/png');
INSERT INTO clinicq.outbox (channel, purpose, image_id) SELECT 's3', 'image', id FROM clinicq.image WHERE sha256 = sha256('b');
SELECT is(tap.take('drive'), '10.1', 'as a delivery of its own');
SELECT tap.later() \g /dev/null
SELECT is(tap.take('s3'), '12.1', 'but not where the same image has come again since');
SELECT is(tap.row_of(11), 'done 0 {"withheld": "the image is stored again"}', 'and its removal is withheld');

-- What ended long ago is removed, by who takes deliveries where there is no keeper; not what could not be removed outside.
CREATE FUNCTION tap.kept() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(purpose || ' ' || state, ', ' ORDER BY id) FROM clinicq.outbox WHERE id > 100
$$;
INSERT INTO clinicq.outbox (id, channel, purpose, image_id, state, ended_at) OVERRIDING SYSTEM VALUE SELECT n, c, p, i, s, CASE WHEN s IN ('done', 'dead') THEN now() - age * interval '1 day' END
FROM (VALUES (101, 'sms', 'manual', NULL, 'done', 31), (102, 'sms', 'manual', NULL, 'dead', 31), (103, 'sms', 'manual', NULL, 'dead', 29), (104, 's3', 'remove_image', NULL, 'done', 31),
    (105, 's3', 'remove_image', NULL, 'dead', 31), (106, 'drive', 'image', (SELECT max(id) FROM clinicq.image), 'done', 31), (107, 'email', 'manual', NULL, 'failed', NULL)) AS t (n, c, p, i, s, age);
SELECT is(tap.take('webhook'), '6.3', 'with the next that is taken');
SELECT is(tap.kept(), 'manual dead, remove_image dead, image done, manual failed', 'old ones are gone');
DELETE FROM clinicq.outbox WHERE id > 100;

-- Over HTTP.
SELECT is(tap.ask('GET /api/deliveries/', NULL, NULL, '{"state": "dead"}')->'body'->'results'->0 @> '{"id": 3, "channel": "email", "purpose": "manual", "state": "dead", "attempts": 2, "last_error": "no such mailbox", "result": null, "visit": null, "webhook": null, "next_attempt_at": null}', true, 'the list, by state');
SELECT is(tap.ask('GET /api/deliveries/', NULL, NULL, '{"channel": "sms"}')->'body'->'results'->0->'result', '{"sid": "SM1"}', 'by channel');
SELECT is(tap.ask('GET /api/deliveries/', NULL, NULL, '{"channel": "fax", "state": "x"}')->>'detail', '{"state":["must be one of: pending, sending, failed, done, dead"],"channel":["must be one of: drive, s3, sms, email, webhook"]}', 'what is none');
SELECT is(tap.ask('GET /api/deliveries/', NULL, NULL, '{"page_size": "1"}')->'body'->'results'->0->>'id', (SELECT max(id)::text FROM clinicq.outbox), 'in pages');
SELECT is(tap.ask('GET /api/deliveries/{id}/', '{99}')->>'sqlstate', 'P0002', 'no such delivery');
SELECT is(tap.ask('POST /api/deliveries/{id}/retry/', '{3}')->'body'->>'state', 'failed', 'tried again');
SELECT is((SELECT count(*) FROM clinicq.outbox WHERE tap.ask('GET /api/deliveries/{id}/', ARRAY[id::text])::text ~ '923001234567|Grüße|a@b.example'), 0::bigint, 'nothing of what was sent is shown');
SELECT is(tap.ask('POST /api/webhooks/', NULL, '{"url": "https://c.example/", "moves": ["start", "done"], "queues": ["1"]}')->'body' @> '{"url": "https://c.example/", "moves": ["start", "done"], "queues": [1], "waiting": 0}', true, 'a webhook');
SELECT is(tap.ask('POST /api/webhooks/', NULL, '{"url": "https://d.example/", "moves": [], "queues": []}')->'body' @> '{"moves": [], "queues": []}', true, 'one that is told of all');
DELETE FROM clinicq.webhook WHERE url = 'https://d.example/';
SELECT is(tap.ask('POST /api/webhooks/', NULL, '{}')->>'detail', '{"url":["is required"]}', 'one without an address');
SELECT is(tap.ask('POST /api/webhooks/', NULL, '{"url": "x", "moves": "start", "queues": [1.5]}')->>'detail',
    '{"moves":["must be an array of moves, as [\"start\", \"done\"]"],"queues":["must be an array of 1 to 50 whole numbers"],"url":["must be an address such as https://clinic.example/path; http is for this machine only"]}', 'all that is wrong with one');
SELECT is(tap.ask('POST /api/webhooks/', NULL, '{"url": "https://c.example", "moves": [1]}')->>'detail', '{"moves":["must be an array of up to 32 moves"]}', 'moves that are none');
SELECT is(tap.ask('GET /api/webhooks/')->'body'->0->>'id', '2', 'the list of them');
SELECT is(tap.ask('DELETE /api/webhooks/{id}/', '{3}')->>'status', '204', 'one less');
SELECT is((SELECT string_agg(action, ' ' ORDER BY id) FROM clinicq.audit_event WHERE entity = 'webhook'), 'INSERT INSERT DELETE INSERT INSERT DELETE DELETE', 'all of that is in the audit log');

SELECT * FROM finish();
