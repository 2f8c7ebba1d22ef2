-- A clinic that has been at work: every table has rows, and a DBA has added a route, a role and a setting.
SELECT clinicq.create_user('ada', '{admin}', 'correct horse 1'), clinicq.create_user('ben', '{doctor}', demo => true);
SELECT clinicq.log_in('ada', 'correct horse 1');
INSERT INTO clinicq.refresh_token (token_hash, session_id, salt) SELECT sha256('refresh'), id, sha256('salt') FROM clinicq.session;
INSERT INTO clinicq.totp (user_id, secret) SELECT id, substring(sha256('totp') FOR 20) FROM clinicq.app_user WHERE username = 'ben';
INSERT INTO clinicq.recovery_code (user_id, code_hash) SELECT user_id, sha256('recovery') FROM clinicq.totp;
INSERT INTO clinicq.idempotency_key (user_id, key, fingerprint, status, reply) SELECT id, 'key', sha256('request'), 201, '{}' FROM clinicq.app_user WHERE username = 'ada';
SELECT clinicq.set_setting('registration_number_format', '{MM}{YY}-{CT}-####'), clinicq.register_patient('Prefix', category => '03');
SELECT clinicq.set_setting('registration_number_format', '##-##-###');
SELECT clinicq.register_patient('Patient ' || n, '0803' || n, 'FEMALE') FROM generate_series(1, 200) AS n;
SELECT clinicq.create_queue('Queue ' || n, 'Q' || n) FROM generate_series(1, 3) AS n;
SELECT clinicq.create_room('Room ' || n) FROM generate_series(1, 2) AS n;
SELECT clinicq.open_visit(to_char(n, '"01-00-"FM000'), n % 3 + 1) FROM generate_series(1, 100) AS n;
SELECT clinicq.start_visit(1, 1), clinicq.enter_room(1), clinicq.finish_visit(1), clinicq.start_visit(2, 2), clinicq.mark_no_show(2);
SELECT clinicq.transfer_visit(4, 3), clinicq.cancel_visit(5), clinicq.start_visit(6);
SELECT clinicq.sign_in_room(2);
SELECT clinicq.remove_patient('01-00-150');
SELECT clinicq.restrict_patient('01-00-003'), clinicq.grant_patient_access('01-00-003', 'ben');
SELECT count(*) FROM clinicq.find_patients('Patient 7');
UPDATE clinicq.visit SET service_day = service_day - 10 WHERE id = 1;
SELECT clinicq.summarise_days(30);
UPDATE clinicq.visit SET version = version + 1 WHERE id = 1;
INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity)
    VALUES ('2001-02-03', '7', 'somebody', '{}', 'psql', 'UPDATE', 'patient');
SELECT clinicq.find_patients('Prefix');
CREATE SCHEMA own;
CREATE FUNCTION own.echo(path text[], query jsonb, body text) RETURNS text LANGUAGE sql AS $$ SELECT body $$;
INSERT INTO clinicq.route (method, path, function, class, who, summary) VALUES ('GET', '/api/own/', 'own.echo', 'read', '{any}', 'Own.');
INSERT INTO clinicq.problem (sqlstate, status, type, title, reveal) VALUES ('OW001', 409, 'own', 'Own', true);
-- Enough events for a stored node of the tree.
UPDATE clinicq.patient SET gender = 'OTHER';
UPDATE clinicq.patient SET gender = 'FEMALE';
UPDATE clinicq.patient SET gender = 'OTHER';
UPDATE clinicq.patient SET gender = 'FEMALE';
SELECT clinicq_audit.seal_now();
