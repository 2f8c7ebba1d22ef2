-- Proves that tokens are 1, 2, 3 in each queue on each day: none without a visit, none twice, none
-- burnt by a refusal or a rollback, and that last_token() tells the last one.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS general,
    tap.act('admin', 'SELECT clinicq.create_queue(''Dental'', ''D'')') AS dental \gset
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Patient ' || n)) FROM generate_series(1, 9) AS n \g /dev/null
CREATE FUNCTION tap.open(patient text, queue bigint) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT v.token_number FROM clinicq.open_visit(%L, %s) AS v', patient, queue))
$$;
CREATE FUNCTION tap.last(queue bigint, day date DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('display', format('SELECT clinicq.last_token(%s, %L)', queue, day))
$$;

SELECT is(tap.last(:general), '0', 'no token yet');
SELECT is(tap.open('01-00-001', :general), '1', 'the first token of a queue and day');
SELECT is(tap.open('01-00-002', :general), '2', 'the second');
SELECT is(tap.open('01-00-001', :dental), '1', 'another queue counts for itself');
SELECT is(tap.last(:general), '2', 'last_token() is the last one');
SELECT is(tap.last(:general, clinicq.service_day()), '2', 'of the day that is asked for');
SELECT is(tap.last(:general, clinicq.service_day() - 1), '0', 'yesterday had none');
SELECT is(tap.last(999), 'P0002: no queue 999', 'an unknown queue');
SELECT is(tap.state('display', 'SELECT clinicq.last_token(NULL)'), '22004', 'a queue is needed');

-- No number without a visit.
SELECT is(tap.act(r, format('SELECT clinicq.issue_token(%s, clinicq.service_day())', :general)),
    '55000: a token is given only together with a visit', 'issue_token() cannot be called by ' || r)
FROM unnest(ARRAY['admin', 'doctor', 'assistant', 'dba']) AS r;
SELECT is(tap.state('admin', 'SELECT clinicq.issue_token(NULL, NULL)'), '55000', 'whatever is asked of it');
SELECT is(tap.last(:general), '2', 'and none is given');

-- Nothing burns a number.
SELECT is(tap.open('01-00-001', :general), '1', 'a patient with an open visit keeps its token');
SELECT is(tap.open('99-99-999', :general), 'P0002: no patient 99-99-999', 'an unknown patient');
SELECT is(tap.open('01-00-003', 999), 'P0002: no open queue 999', 'an unknown queue');
BEGIN;
SELECT is(tap.open('01-00-003', :general), '3', 'a visit that is rolled back');
ROLLBACK;
SELECT is(tap.open('01-00-004', :general), '3', 'gives its token to the next');
BEGIN;
SAVEPOINT here;
SELECT is(tap.open('01-00-005', :general), '4', 'a visit in a savepoint that is rolled back');
ROLLBACK TO here;
SELECT is(tap.open('01-00-006', :general), '4', 'too');
COMMIT;
SELECT is(tap.state('assistant', format('SELECT clinicq.transfer_visit(%s, %s)', v.id, :dental)), 'QC409',
    'a transfer to a queue where the patient waits already')
FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id WHERE p.registration_number = '01-00-001' AND v.queue_id = :general;
SELECT is(tap.last(:dental), '1', 'burns no token there');
SELECT is(tap.act('assistant', format('SELECT v.token_number FROM clinicq.transfer_visit(%s, %s) AS v', v.id, :dental)), '2', 'a transfer takes the next token there')
FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id WHERE p.registration_number = '01-00-002';
SELECT is(tap.state('assistant', format('SELECT clinicq.cancel_visit(%s)', v.id)), '00000', 'a visit is cancelled')
FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id WHERE p.registration_number = '01-00-006';
SELECT is(tap.open('01-00-006', :general), '5', 'its token is not given again: a new visit takes a new one');

SELECT is_empty($$
    SELECT queue_id, service_day FROM clinicq.token_counter
    FULL JOIN (SELECT queue_id, service_day, array_agg(token_number ORDER BY token_number) AS tokens
               FROM clinicq.visit GROUP BY 1, 2) AS v USING (queue_id, service_day)
    WHERE tokens IS DISTINCT FROM ARRAY(SELECT generate_series(1, last_token))
$$, 'tokens are 1 to n in each queue and day');
SELECT throws_ok(format($$ INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number)
    VALUES (9, %s, clinicq.service_day(), 1) $$, :general), '23505', NULL, 'the table itself refuses a token twice');
SELECT throws_ok(format($$ UPDATE clinicq.visit SET token_number = 0 WHERE queue_id = %s $$, :general), '23514', NULL, 'and a token below 1');

-- The next day begins at 1.
UPDATE clinicq.visit SET service_day = service_day - 1;
UPDATE clinicq.token_counter SET service_day = service_day - 1;
SELECT is(tap.open('01-00-007', :general), '1', 'a new day begins at 1');
SELECT is(tap.last(:general, clinicq.service_day() - 1), '5', 'the day before keeps its last token');

SELECT * FROM finish();
