-- Proves messages to patients: who asked to be told with consent, and that number and address stay between the
-- clinic and them; what the feed makes of what happens, once; that a message is true when it is sent, or is not
-- sent; the texts and who changes them; that nothing of it is left once the patient is erased.
SELECT no_plan();

CREATE FUNCTION tap.set(name text, value text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('admin', format('SELECT clinicq.set_setting(%L, %L)', name, value))
$$;
CREATE FUNCTION tap.place() RETURNS boolean LANGUAGE sql AS $$ SELECT tap.act('shim', 'SELECT position > 0 FROM clinicq_api.feed_advance()')::boolean $$;
CREATE FUNCTION tap.open(patient text, queue text DEFAULT '1', extra jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('POST /api/visits/', encode(sha256('ann'), 'hex'), NULL, (jsonb_build_object('patient', patient, 'queue', queue) || extra)::text)
$$;
CREATE FUNCTION tap.change(visit text, extra jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('PATCH /api/visits/{id}/', encode(sha256('ann'), 'hex'), ARRAY[visit], extra::text)
$$;
CREATE FUNCTION tap.take(channel text) RETURNS TABLE (id bigint, attempt integer, work jsonb) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('session_authorization', 'clinicq_deliver', true);
    RETURN QUERY SELECT t.id, t.attempt, t.work::jsonb FROM clinicq_api.take_deliveries(ARRAY[channel], ARRAY[100]) AS t ORDER BY t.id;
    PERFORM set_config('session_authorization', 'postgres', true);
END
$$;
CREATE VIEW tap.written AS SELECT id, channel, purpose, visit_id, state, result->>'withheld' AS withheld FROM clinicq.outbox WHERE channel <> 'webhook';
CREATE TABLE tap.sms AS SELECT '{"notify_by": "sms", "notify_to": "+92 300 1234567", "notify_consent": true}'::jsonb AS asked;

SELECT tap.user('ann', '{assistant}') AS ann, tap.user('board', '{display}') AS board \gset
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'', ''G'')'), tap.act('admin', 'SELECT clinicq.create_queue(''Dental'')'), tap.act('admin', 'SELECT clinicq.create_room(''Room 5'')') \g /dev/null
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Secret Patient ' || n)) FROM generate_series(1, 9) n \g /dev/null

-- Asking.
SELECT is(tap.open('01-00-001') #> '{body,notify}', 'null', 'who asks for nothing is told nothing');
SELECT is((tap.open('01-00-002', extra => asked))->>'message', 'notify_by: sms is not set up here: nothing could be sent by it', 'a channel that is off says so') FROM tap.sms;
SELECT tap.set('sms_account', 'AC00000000000000000000000000000001'), tap.set('sms_from', '+14155550100'), tap.set('email_server', 'smtp://mail.example:587'), tap.set('email_from', 'clinic@clinic.example') \g /dev/null
SELECT format('SELECT is((tap.open(''01-00-002'', extra => %1$L)->>''detail'')::jsonb, %2$L::jsonb, %1$L)', extra, faults) FROM (VALUES
    ('{"notify_by": "sms", "notify_to": "+92 300 1234567"}', '{"notify_consent": ["must be true: only who agreed to it may be told"]}'),
    ('{"notify_by": "sms", "notify_to": "+92 300 1234567", "notify_consent": false}', '{"notify_consent": ["must be true: only who agreed to it may be told"]}'),
    ('{"notify_by": "sms", "notify_consent": true}', '{"notify_to": ["is required"]}'),
    ('{"notify_by": "fax", "notify_to": "+92 300 1234567", "notify_consent": true}', '{"notify_by": ["must be sms or email"]}'),
    ('{"notify_by": "drive", "notify_to": "x", "notify_consent": true}', '{"notify_by": ["must be sms or email"]}'),
    ('{"notify_by": "sms", "notify_to": "+92 300 1234567", "notify_consent": true, "notify_language": "xx"}', '{"notify_language": ["must be one of: en, ur"]}'),
    ('{"notify_to": "+92 300 1234567"}', '{"notify_by": ["is required: sms, email, or null for neither"]}'),
    ('{"notify_consent": true}', '{"notify_by": ["is required: sms, email, or null for neither"]}')) AS f (extra, faults) \gexec
SELECT format('SELECT matches(tap.open(''01-00-002'', extra => %L)->>''message'', ''^notify_to: must '', %L)', jsonb_build_object('notify_by', 'sms', 'notify_to', n, 'notify_consent', true), left(n, 30) || ' is no number')
FROM unnest(ARRAY['', '0300 1234567', '+0300 1234567', '+1234567', '+1234567890123456', '+92x3001234567', '+92+3001234567', '++923001234567', 'a@b.example', repeat('+', 5000), E'+92300\n1234567']) AS n \gexec
SELECT format('SELECT matches(tap.open(''01-00-002'', extra => %L)->>''message'', ''^notify_to: must '', %L)', jsonb_build_object('notify_by', 'email', 'notify_to', a, 'notify_consent', true), left(a, 30) || ' is no e-mail address')
FROM unnest(ARRAY['', 'x', '@x.example', 'a@', 'a b@x.example', 'a..b@x.example', E'a@x.example\r\nBcc: b@x.example', 'a@x.example,b@x.example', repeat('a', 250) || '@x.example', 'ä@x.example']) AS a \gexec
SELECT is((SELECT count(*) FROM clinicq.visit), 1::bigint, 'none of these opened a visit');
SELECT is(tap.open('01-00-002', extra => asked) #>> '{body,notify}', 'sms', 'with consent it is written down') FROM tap.sms;
SELECT results_eq('SELECT visit_id, channel, address, language, created_by, near_at FROM clinicq.visit_contact', $$ VALUES (2::bigint, 'sms', '+923001234567', 'en', 'ann', NULL::timestamptz) $$, 'as E.164, by whom');
SELECT is(tap.open('01-00-002', extra => asked)->>'status', '200', 'a repeat is no second visit') FROM tap.sms;
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE entity = 'visit_contact'), 1::bigint, 'nor a second record of consent');
SELECT is(tap.http('GET /api/visits/{id}/', :'ann', ARRAY['2']) #>> '{body,notify}', 'sms', 'the staff sees that, not where');
SELECT unalike(tap.http('GET /api/visits/{id}/', :'ann', ARRAY['2'])::text, '%3001234567%', '... really not');
SELECT is(tap.http('GET /api/visits/{id}/', :'board', ARRAY['2']) #> '{body,notify}', 'null', 'a display does not see even that');
SELECT is_empty($$ SELECT FROM clinicq.audit_event WHERE changes::text ~ '3001234567' $$, 'no event holds the number');
SELECT is((SELECT changes->'address'->>'new' FROM clinicq_audit.event WHERE entity = 'visit_contact'), '+923001234567', 'but auditors see it until it is erased');
SELECT is(tap.act('assistant', $$ SELECT clinicq.notify_visit(1, 'email', 'a@b.example', 'ur') $$), '', 'the same in psql');
SELECT is(tap.act('assistant', s), e, s) FROM (VALUES
    ($$ SELECT clinicq.notify_visit(1, 'sms', 'x', 'xx') $$, '22023: address: must be a number with its country in front, such as +923001234567; language: must be one of: en, ur'),
    ($$ SELECT clinicq.notify_visit(1, 'fax', 'x') $$, '22023: channel: must be sms or email'),
    ($$ SELECT clinicq.notify_visit(99, 'sms', '+923001234567') $$, 'P0002: no visit 99'),
    ($$ SELECT clinicq.notify_visit(1, NULL, '+923001234567') $$, '22004: channel must not be null'),
    ($$ SELECT clinicq.forget_contact(99) $$, 'P0002: no visit 99')) AS f (s, e);
SELECT is(tap.http('GET /api/visits/{id}/', :'ann', ARRAY['1']) #>> '{body,notify}', 'email', 'it shows');
SELECT is(tap.change('1', '{"notify_by": null}') #> '{body,notify}', 'null', 'and is taken back');
SELECT is(tap.change('1', '{"notify_by": "email", "notify_to": "a@b.example", "notify_consent": true}') #>> '{body,notify}', 'email', 'and asked for later');
SELECT is(tap.act('assistant', 'SELECT clinicq.forget_contact(1)'), '', 'forgotten in psql');
SELECT is((SELECT array_agg(visit_id) FROM clinicq.visit_contact), ARRAY[2]::bigint[], 'one is left');

-- Near: the third place from the front by default.
SELECT ok(tap.place(), 'events get their places');
SELECT results_eq('SELECT channel, purpose, visit_id, state FROM tap.written', $$ VALUES ('sms', 'turn_near', 2::bigint, 'pending') $$, 'of two who wait the second is near');
SELECT is((SELECT near_at IS NOT NULL FROM clinicq.visit_contact), true, 'which is noted');
SELECT is((SELECT payload::text FROM clinicq.outbox), '{"channel": "sms"}', 'neither number nor text is in the outbox');
SELECT format('SELECT is(tap.open(%L, extra => %L)->>''status'', ''201'', ''one more'')', '01-00-00' || n, asked || CASE n WHEN 4 THEN '{"notify_language": "ur"}' ELSE '{}' END::jsonb) FROM tap.sms, generate_series(3, 6) n \gexec
SELECT ok(tap.place() AND tap.place(), 'more come');
SELECT is((SELECT array_agg(visit_id ORDER BY id) FROM tap.written), ARRAY[2, 3]::bigint[], 'the third is near too, the fourth is not; nobody is told twice');
SELECT is(tap.act('doctor', 'SELECT v.token_number FROM clinicq.call_next(1) AS v'), '1', 'one is called');
SELECT ok(tap.place(), 'placed');
SELECT is((SELECT array_agg(visit_id ORDER BY id) FROM tap.written), ARRAY[2, 3, 4]::bigint[], 'now the fourth is near; who did not ask is told nothing of the call');
SELECT tap.set('near_places', '4') \g /dev/null
SELECT is((SELECT count(*) FROM tap.written), 3::bigint, 'by itself a setting tells nobody');
SELECT tap.act('assistant', $$ SELECT v.status FROM clinicq.change_priority(6, 'emergency') AS v $$) \g /dev/null
SELECT ok(tap.place(), 'one goes in front of others');
SELECT set_eq('SELECT visit_id FROM tap.written WHERE id > 3', '{6}'::bigint[], 'and is near at once');
SELECT tap.set('near_places', '3') \g /dev/null

-- Sent.
SELECT results_eq($$ SELECT (t.work->>'to') || ': ' || (t.work->>'body') FROM tap.take('sms') AS t $$, $$ VALUES
    ('+923001234567: Clinic: token G-002 for General is number 2 in the queue. Please come to the waiting area.'),
    ('+923001234567: Clinic: token G-003 for General is number 3 in the queue. Please come to the waiting area.'),
    ('+923001234567: Clinic: ٹوکن G-004، General۔ قطار میں آپ کا نمبر 4 ہے۔ براہِ کرم انتظار گاہ میں تشریف لائیں۔'),
    ('+923001234567: Clinic: token G-006 for General is number 1 in the queue. Please come to the waiting area.') $$,
    'what is sent is made then, with the places of now, in the language asked for');
SELECT is_empty($$ SELECT FROM clinicq.outbox WHERE row(outbox.*)::text ~* 'secret|300123' $$, 'the outbox knows neither names nor numbers');

-- Called.
SELECT is(tap.act('doctor', 'SELECT v.token_number FROM clinicq.call_next(1, 1) AS v'), '6', 'the emergency is called to a room');
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.start_visit(2) AS v') \g /dev/null
SELECT ok(tap.place(), 'placed');
SELECT set_eq('SELECT purpose, visit_id FROM tap.written WHERE id > 4', $$ VALUES ('room', 6::bigint), ('room', 2), ('turn_near', 5) $$, 'both are told, and who is near then');
SELECT set_eq($$ SELECT t.work->>'body' FROM tap.take('sms') AS t $$, ARRAY['Clinic: token G-006, please come to Room 5.', 'Clinic: token G-002 is called. Please come to the desk of General.',
    'Clinic: token G-005 for General is number 3 in the queue. Please come to the waiting area.'], 'to the room, or without one to the desk');
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.announce_visit(2) AS v') \g /dev/null
SELECT ok(tap.place(), 'called once more');
SELECT is((SELECT count(*) FROM tap.written WHERE purpose = 'room' AND visit_id = 2), 2::bigint, 'told once more');

-- Not true any more, not sent.
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.enter_room(2) AS v') \g /dev/null
SELECT is_empty($$ SELECT FROM tap.take('sms') $$, 'nothing is sent to who is inside');
SELECT is((SELECT withheld FROM tap.written ORDER BY id DESC LIMIT 1), 'the visit has moved on', 'and why is kept');
SELECT tap.set('near_places', '50') \g /dev/null
SELECT tap.open('01-00-007', extra => asked) #>> '{body,id}' AS seven FROM tap.sms \gset
SELECT ok(tap.place(), 'another waits');
SELECT is(tap.change(:'seven', '{"notify_by": "email", "notify_to": "Seven@Clinic.example", "notify_consent": true}') #>> '{body,notify}', 'email', 'and wants e-mail instead');
SELECT is_empty($$ SELECT FROM tap.take('sms') $$, 'so no SMS is sent');
SELECT is((SELECT withheld FROM tap.written ORDER BY id DESC LIMIT 1), 'the patient is to be told in another way', '...');
SELECT tap.act('assistant', 'SELECT v.status FROM clinicq.hold_visit(5) AS v') \g /dev/null
SELECT ok(tap.place(), 'the next event');
SELECT is((SELECT t.work - 'since' FROM tap.take('email') AS t), '{"to": "Seven@Clinic.example", "subject": "Your turn is near: token G-007", "body": "Clinic\n\nToken G-007 for General is number 3 in the queue. Please come to the waiting area.\n"}'::jsonb, 'brings the e-mail');
SELECT tap.act('doctor', format('SELECT v.status FROM clinicq.start_visit(%s) AS v', :seven)), tap.place(), tap.act('assistant', format('SELECT clinicq.forget_contact(%s)', :seven)) \g /dev/null
SELECT is_empty($$ SELECT FROM tap.take('email') $$, 'nothing to who has taken it back');
SELECT is((SELECT withheld FROM tap.written ORDER BY id DESC LIMIT 1), 'the patient is not to be told any more', '...');
SELECT tap.open('01-00-008', '2', asked) #>> '{body,id}' AS eight FROM tap.sms \gset
SELECT ok(tap.place(), 'another queue');
UPDATE clinicq.visit SET service_day = service_day - 1 WHERE id = :eight;
SELECT is_empty($$ SELECT FROM tap.take('sms') $$, 'nothing of an earlier day');
SELECT is((SELECT withheld FROM tap.written ORDER BY id DESC LIMIT 1), 'the day of the visit is over', '...');
UPDATE clinicq.visit SET service_day = service_day + 1 WHERE id = :eight;

-- A transfer takes it along, undo brings it back.
SELECT tap.http('PATCH /api/visits/{id}/', :'ann', ARRAY['3'], '{"queue": 2}') AS moved \gset
SELECT is(:'moved'::jsonb #>> '{body,notify}', 'sms', 'a transfer takes it along');
SELECT :'moved'::jsonb #>> '{body,id}' AS there \gset
SELECT is((SELECT count(*) FROM clinicq.visit_contact WHERE visit_id = 3), 0::bigint, 'and leaves none behind');
SELECT ok(tap.place(), 'placed');
SELECT is((SELECT array_agg(purpose) FROM tap.written WHERE visit_id = :there), '{turn_near}', 'there the turn is near anew');
SELECT is(tap.http('PATCH /api/visits/{id}/undo/', :'ann', ARRAY['3'])->>'status', '200', 'taken back');
SELECT is((SELECT array_agg(visit_id) FROM clinicq.visit_contact WHERE visit_id IN (3, :there)), ARRAY[3]::bigint[], 'it is where it was');

-- Not for what is over, nor over a channel that is off.
SELECT is(tap.change('2', '{"notify_by": null}')->>'status', '200', 'of a visit that goes on it can be taken back');
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.finish_visit(2) AS v') \g /dev/null
SELECT is(tap.change('2', asked)->>'message', 'the visit is DONE: there is nothing to tell any more', 'of one that is over nothing is to tell') FROM tap.sms;
SELECT is(tap.change('2', '{"notify_by": null}')->>'status', '200', 'but taking back');
SELECT tap.set('sms_account', '') \g /dev/null
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.start_visit(4) AS v'), tap.place() \g /dev/null
SELECT is_empty($$ SELECT FROM tap.written WHERE visit_id = 4 AND purpose = 'room' $$, 'where a channel is off nothing is written that could only wait');
SELECT tap.set('sms_account', 'AC00000000000000000000000000000001') \g /dev/null

-- Texts.
SELECT is((SELECT count(*) FROM clinicq.message_template WHERE shipped), 14::bigint, 'texts come with ClinicQ');
SELECT is_empty($$ SELECT FROM clinicq.message_template WHERE purpose IN ('turn_near', 'room', 'desk') AND (subject || body) ~ '\{(name|patient|number)' $$, 'none with a name');
SELECT set_eq($$ SELECT purpose || ' ' || channel FROM clinicq.message_template WHERE language = 'ur' $$, ARRAY['turn_near sms', 'turn_near email', 'room sms', 'room email', 'desk sms', 'desk email'], 'those for patients in Urdu too');
SELECT is(tap.act('admin', 'SELECT count(*) FROM clinicq.message_templates()'), '14', 'administrators read them');
SELECT is(tap.act('admin', s), e, s) FROM (VALUES
    ($$ SELECT clinicq.change_message_template('room', 'sms', 'en', 'Come, {token}!') $$, ''),
    ($$ SELECT clinicq.change_message_template('room', 'sms', 'fr', 'Venez, {token}, {room}') $$, ''),
    ($$ SELECT clinicq.change_message_template('room', 'sms', 'en', 'Come, {name}') $$, '22023: body: has a { that begins no placeholder of room'),
    ($$ SELECT clinicq.change_message_template('room', 'sms', 'en', 'Come, {link}') $$, '22023: body: has a { that begins no placeholder of room'),
    ($$ SELECT clinicq.change_message_template('room', 'sms', 'en', 'Come, {') $$, '22023: body: has a { that begins no placeholder of room'),
    ($$ SELECT clinicq.change_message_template('x', 'fax', 'E', '', E'a\nb') $$, '22023: purpose: must be turn_near, room, desk, password_reset or daily_summary; channel: must be sms or email; language: must be a code of ISO 639, as en; subject: is of e-mails only; body: must have 1 to 2000 characters; subject: must not contain control characters'),
    ($$ SELECT clinicq.change_message_template('room', 'email', 'en', 'Come') $$, '22023: subject: is required of an e-mail'),
    ($$ SELECT clinicq.change_message_template('password_reset', 'sms', 'en', '{link}') $$, '22023: channel: must be email'),
    ($$ SELECT clinicq.change_message_template('password_reset', 'email', 'ur', 'x', 'x') $$, '22023: language: must be en: users get no other; body: must have a {link}'),
    (format($$ SELECT clinicq.change_message_template('room', 'sms', 'en', %L) $$, repeat('x', 2001)), '22023: body: must have 1 to 2000 characters'),
    ($$ SELECT clinicq.change_message_template('room', 'sms', 'en', E'a\x01') $$, '22023: body: must not contain control characters')) AS f (s, e);
UPDATE clinicq.message_template SET body = 'Old' WHERE (purpose, channel, language) = ('desk', 'sms', 'en');
CALL clinicq.migrate();
SELECT is((SELECT body FROM clinicq.message_template WHERE (purpose, channel, language) = ('room', 'sms', 'en')), 'Come, {token}!', 'migrate() leaves what the clinic changed');
SELECT is((SELECT body FROM clinicq.message_template WHERE (purpose, channel, language) = ('desk', 'sms', 'en')), '{clinic}: token {token} is called. Please come to the desk of {queue}.', 'and brings its own up to date');
SELECT is(tap.change('4', asked || '{"notify_language": "fr"}')->>'message', 'notify_language: must be one of: en, ur', 'a language counts once it has the first of the texts') FROM tap.sms;
SELECT tap.act('admin', $$ SELECT clinicq.change_message_template('turn_near', 'sms', 'fr', 'Bientot') $$) \g /dev/null
SELECT is(tap.change('4', asked || '{"notify_language": "fr"}')->>'status', '200', '...') FROM tap.sms;
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.announce_visit(4) AS v'), tap.place() \g /dev/null
SELECT set_eq($$ SELECT t.work->>'body' FROM tap.take('sms') AS t WHERE t.work->>'body' ~ 'G-004' $$, ARRAY['Clinic: token G-004 is called. Please come to the desk of General.'], 'what a language lacks is sent in English');
SELECT tap.act('admin', $$ SELECT clinicq.rename_queue(1, '{token} {room}') $$) \g /dev/null
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.announce_visit(4) AS v'), tap.place() \g /dev/null
SELECT set_eq($$ SELECT t.work->>'body' FROM tap.take('sms') AS t WHERE t.work->>'body' ~ 'G-004' $$, ARRAY['Clinic: token G-004 is called. Please come to the desk of {token} {room}.'], 'a name is never read as a placeholder');
DELETE FROM clinicq.message_template WHERE purpose = 'desk';
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.announce_visit(4) AS v'), tap.place() \g /dev/null
SELECT is_empty($$ SELECT FROM tap.take('sms') $$, 'without a text nothing is sent');
SELECT is((SELECT withheld FROM tap.written ORDER BY id DESC LIMIT 1), 'there is no text for it', '...');

-- Erased.
SELECT tap.act('doctor', 'SELECT v.status FROM clinicq.enter_room(4) AS v'), tap.act('doctor', 'SELECT v.status FROM clinicq.finish_visit(4) AS v') \g /dev/null
SELECT is((SELECT count(*) FROM clinicq.audit_personal WHERE entity = 'visit_contact' AND entity_id = '4') > 0, true, 'beside the audit log the number stands');
SELECT isnt(tap.act('admin', $$ SELECT clinicq.erase_patient('01-00-004', 'asked to') $$), '0', 'a patient is erased');
SELECT is((SELECT count(*) FROM clinicq.audit_personal WHERE entity = 'visit_contact' AND entity_id = '4'), 0::bigint, 'there it is gone');
SELECT is((SELECT count(*) FROM clinicq.visit_contact WHERE visit_id = 4) + (SELECT count(*) FROM clinicq.outbox WHERE visit_id = 4), 0::bigint, 'and everywhere else');
SELECT is((SELECT count(*) FROM clinicq.audit_personal WHERE entity = 'visit_contact' AND entity_id = '6') > 0, true, 'of others it is not');

SELECT * FROM finish();
