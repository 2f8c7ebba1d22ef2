-- Proves the daily summary: once a day and clinic, to administrators with an e-mail address, when the day is over
-- and the setting on; its counts, which name no patient.
SELECT no_plan();

CREATE FUNCTION tap.set(name text, value text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('admin', format('SELECT clinicq.set_setting(%L, %L)', name, value))
$$;
CREATE FUNCTION tap.mail() RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('session_authorization', 'clinicq_deliver', true);
    RETURN QUERY SELECT t.work::jsonb FROM clinicq_api.take_deliveries('{email}', '{100}') AS t ORDER BY t.id;
    PERFORM set_config('session_authorization', 'postgres', true);
END
$$;
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'', ''G'')'), tap.act('admin', 'SELECT clinicq.create_queue(''Dental'')'), tap.act('admin', 'SELECT clinicq.create_queue(''Empty'')') \g /dev/null
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Secret Patient ' || n)) FROM generate_series(1, 9) n \g /dev/null
SELECT tap.user('boss', '{admin}'), tap.user('chief', '{doctor,admin}'), tap.user('gone', '{admin}'), tap.user('mute', '{admin}'), tap.user('ben', '{doctor}') \g /dev/null
UPDATE clinicq.app_user SET email = username || '@clinic.example' WHERE username <> 'mute';
UPDATE clinicq.app_user SET disabled_at = now() WHERE username = 'gone';

-- Yesterday: one seen after 20 minutes, one after 40, one cancelled, one not called; and one in the other queue.
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(%L, %s) AS v', '01-00-00' || n, CASE n WHEN 5 THEN 2 ELSE 1 END)) FROM generate_series(1, 5) n \g /dev/null
SELECT tap.act('doctor', format('SELECT v.status FROM clinicq.%s(%s) AS v', move, n)) FROM (VALUES (1, 'start_visit'), (1, 'enter_room'), (1, 'finish_visit'), (2, 'start_visit'), (2, 'enter_room'), (2, 'finish_visit'), (3, 'cancel_visit')) AS m (n, move) \g /dev/null
UPDATE clinicq.visit SET service_day = service_day - 1, created_at = created_at - interval '1 day';
UPDATE clinicq.visit_event SET at = at - interval '1 day' + visit_id * interval '20 minutes' WHERE move <> 'open';

SELECT is_empty('SELECT FROM tap.mail()', 'off at first');
SELECT tap.set('daily_summary', 'on') \g /dev/null
SELECT is_empty('SELECT FROM tap.mail()', 'nothing without e-mail');
SELECT is((SELECT count(*) FROM clinicq.daily_summary), 0::bigint, 'nor is the day taken for told');
SELECT tap.set('email_server', 'smtp://mail.example:587'), tap.set('email_from', 'clinic@clinic.example') \g /dev/null
SELECT array_agg(m ORDER BY m->>'to') AS mails FROM tap.mail() AS m \gset
SELECT is((SELECT array_agg(m->>'to') FROM unnest(:'mails'::jsonb[]) AS m), ARRAY['boss@clinic.example', 'chief@clinic.example'], 'administrators with an address who are not shut out');
SELECT is((:'mails'::jsonb[])[1]->>'subject', 'Clinic, ' || (clinicq.service_day() - 1), 'of which day');
SELECT is((:'mails'::jsonb[])[1]->>'body', 'Clinic, ' || (clinicq.service_day() - 1) || E'\n\n'
    || E'Dental: 1 visit, 1 not come, 1 of these closed when the day was over.\n'
    || E'General: 4 visits, 2 seen, 1 not come, 1 cancelled, 1 of these closed when the day was over. Median wait until the first call: 30 min.\n\n', 'what was done, by queue');
SELECT is_empty('SELECT FROM tap.mail()', 'once');
SELECT is((SELECT array_agg(service_day) FROM clinicq.daily_summary), ARRAY[clinicq.service_day() - 1], 'of yesterday alone, however many days there were');
SELECT is((SELECT count(*) FROM clinicq.visit WHERE status = 'WAITING'), 0::bigint, 'after what was left open was closed');

-- Without visits, with deliveries that were given up, and to who is an administrator then.
DELETE FROM clinicq.daily_summary;
UPDATE clinicq.visit SET service_day = service_day - 1;
INSERT INTO clinicq.outbox (channel, purpose, state, ended_at) SELECT 'email', 'manual', 'dead', now() FROM generate_series(1, 2);
SELECT is((SELECT array_agg(m->>'body') FROM tap.mail() AS m), array_fill(format(E'Clinic, %s\n\nNo visits.\n\nDeliveries to the outside that were given up: 2. clinicq.dead_deliveries() lists them.\n\n', clinicq.service_day() - 1), ARRAY[2]), 'a day without visits, and what was given up');
DELETE FROM clinicq.daily_summary;
INSERT INTO clinicq.daily_summary (clinic_id, service_day) SELECT 1, clinicq.service_day() - 1;
INSERT INTO clinicq.outbox (channel, purpose, user_id, payload) SELECT 'email', 'daily_summary', id, '{"clinic": 1, "day": "2026-01-01"}' FROM clinicq.app_user WHERE username IN ('ben', 'mute');
SELECT is_empty('SELECT FROM tap.mail()', 'not to who is none any more');
SELECT is((SELECT count(*) FROM clinicq.outbox WHERE result->>'withheld' = 'the user is no administrator with an e-mail address any more'), 2::bigint, '...');

-- Another clinic has its own.
INSERT INTO clinicq.clinic (name, timezone) VALUES ('Second', 'Pacific/Kiritimati');
SELECT is((SELECT array_agg(DISTINCT m->>'subject') FROM tap.mail() AS m), ARRAY['Second, ' || (clinicq.service_day(2) - 1)], 'another clinic has its own, by its own calendar');
SELECT is_empty($$ SELECT FROM clinicq.outbox WHERE payload::text ~* 'secret' $$, 'no patient in any');

SELECT * FROM finish();
