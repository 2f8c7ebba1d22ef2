-- Proves what a screen is shown from SQL, by a function and not by hiding: who is called and where to, then
-- who waits in the order of calls; names as the setting says for a display, in full for staff, none of a
-- restricted patient; and that a display can reach nothing behind it.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''Eye'', ''E'')') AS eye, tap.act('admin', 'SELECT clinicq.create_queue(''Ear'')') AS ear,
    tap.act('admin', 'SELECT clinicq.create_room(''Room 7'')') AS room \gset
CREATE FUNCTION tap.open(name text, queue bigint, priority text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(%L, %s, %L) AS v', tap.act('assistant', format('SELECT clinicq.register_patient(%L)', name)), queue, priority))
$$;
-- The board as one text, as a role sees it.
CREATE FUNCTION tap.board(who text, queue bigint DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act(who, format('SELECT string_agg(concat_ws('' '', b.token, b.status, coalesce(b.room, ''-''), b.queue_name, ''<'' || b.name || ''>''), '', '' ORDER BY b.n)
        FROM clinicq.board(%L) WITH ORDINALITY AS b (token, status, room, queue_name, name, n)', queue))
$$;
SELECT tap.open('Ada Byron', :eye) AS ada, tap.open('Ben Okri', :eye) AS ben, tap.open('Cyd Charisse', :eye, 'elderly') AS cyd, tap.open('Dot Rot', :ear) AS dot \gset
SELECT is(tap.board('display', :eye), 'E-003 WAITING - Eye <C. C.>, E-001 WAITING - Eye <A. B.>, E-002 WAITING - Eye <B. O.>', 'who waits, in the order of calls, with initials');
SELECT tap.act('doctor', format('SELECT v.status FROM clinicq.call_next(%s, %s) AS v', :eye, :room)) \g /dev/null
SELECT is(tap.board('display', :eye), 'E-003 START Room 7 Eye <C. C.>, E-001 WAITING - Eye <A. B.>, E-002 WAITING - Eye <B. O.>', 'who is called, and where to');
SELECT tap.act('assistant', format('SELECT v.status FROM clinicq.hold_visit(%s) AS v', :ada)) \g /dev/null
SELECT is(tap.board('display', :eye), 'E-003 START Room 7 Eye <C. C.>, E-002 WAITING - Eye <B. O.>', 'who is on hold is not shown');
SELECT is(tap.board('display'), 'E-003 START Room 7 Eye <C. C.>, 1 WAITING - Ear <D. R.>, E-002 WAITING - Eye <B. O.>', 'of all queues, each by name');

SELECT is(tap.board(who, :eye), 'E-003 START Room 7 Eye <Cyd Charisse>, E-002 WAITING - Eye <Ben Okri>', who || ' sees names') FROM unnest(ARRAY['admin', 'doctor', 'assistant']) AS who;
SELECT tap.state('admin', 'SELECT clinicq.set_setting(''display_names'', ''none'')') \g /dev/null
SELECT is(tap.board('display', :eye), 'E-003 START Room 7 Eye <>, E-002 WAITING - Eye <>', 'display_names = none');
SELECT tap.state('admin', 'SELECT clinicq.set_setting(''display_names'', ''full'')') \g /dev/null
SELECT is(tap.board('display', :eye), 'E-003 START Room 7 Eye <Cyd Charisse>, E-002 WAITING - Eye <Ben Okri>', 'display_names = full');
SELECT tap.state('admin', format('SELECT clinicq.restrict_patient(%L)', registration_number)) FROM clinicq.patient WHERE name = 'Ben Okri' \g /dev/null
SELECT is(tap.board('display', :eye) ~ 'E-002 WAITING - Eye <>', true, 'a restricted patient has no name on a screen');
SELECT is(tap.board('assistant', :eye) ~ 'Okri', false, '... nor for staff who may not see the record');

SELECT is(tap.board('display', 999), NULL, 'a queue that is not there shows nobody');
SELECT is(tap.state(who, 'SELECT * FROM clinicq.board()'), '42501', who || ' sees no board') FROM unnest(ARRAY['auditor', 'reporter']) AS who;
SELECT is(tap.state('display', statement), '42501', 'a display reaches nothing behind it: ' || statement) FROM unnest(ARRAY['SELECT name FROM clinicq.patient', 'SELECT id FROM clinicq.visit',
    'SELECT id FROM clinicq.visit_event', 'SELECT * FROM clinicq.priority_class', 'SELECT clinicq.set_setting(''display_names'', ''full'')']) AS statement;

SELECT * FROM finish();
