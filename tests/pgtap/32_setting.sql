-- Proves the settings: each has a default, a check of its own, is changed by administrators alone, counts at
-- once in every session, and does what it says.
SELECT no_plan();

CREATE FUNCTION tap.set(name text, value text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.state('admin', format('SELECT clinicq.set_setting(%L, %L)', name, value))
$$;
CREATE TABLE tap.value (name text, good text[], bad text[]);
INSERT INTO tap.value VALUES
    ('registration_number_format', '{##-##-###,######}', '{"",##,x,###}'),
    ('doctors_open_visits', '{on,off}', '{"",ON,yes,"on off"," on",o,n}'),
    ('display_names', '{none,initials,full}', '{"",initial,"none initials",Full}'),
    ('session_minutes', '{5,720,43200,"720,display=43200","60,admin=5,display=90"}', '{"",4,43201,-5,+5," 5",5.0,5m,0x10,99999999999999999999,
        display=60,"display=60,720","720,720","720,","720,display=4","720,display=","720,=60","720,nurse=60","720,Display=60","720, display=60","720,display=60,display=60","720,display=60=60"}'),
    ('access_minutes', '{1,1440,"15,admin=5"}', '{"",0,1441,x,"15,admin=0"}'),
    ('session_days', '{1,3650,"30,admin=1"}', '{"",0,3651,x,"30,admin=3651"}'),
    ('log_in_attempts', '{2,100}', '{"",1,101,x,"5,admin=3"}'),
    ('log_in_lock_seconds', '{1,3600}', '{"",0,3601,x}'),
    ('log_in_account_attempts', '{5,100000}', '{"",4,100001,x}'),
    ('emergency_access_minutes', '{5,1440}', '{"",4,1441,x,"60,admin=5"}'),
    ('totp_roles', '{doctor,"admin,doctor",""}', '{x,"doctor,","doctor, admin",Doctor}'),
    ('password_hash_slots', '{1,64}', '{"",0,65,x}'),
    ('password_memory_kib', '{7168,1048576,19456}', '{"",7167,1048577,x}'),
    ('password_iterations', '{1,20,2}', '{"",0,21,x}'),
    ('audit_reads', '{off,on}', '{"",ON,yes}'),
    ('audit_searches', '{off,on}', '{"",ON,yes}'),
    ('audit_retention_years', '{7,8,1000,7}', '{"",6,1001,x,0}'),
    ('audit_exports', '{off,on}', '{"",ON,yes}'),
    ('audit_read_minutes', '{1,60,5}', '{"",0,61,x,"5,admin=1"}'),
    ('report_timeout_seconds', '{1,86400,60}', '{"",0,86401,x,"60,admin=5"}'),
    ('idempotency_hours', '{1,168,24}', '{"",0,169,x,24h}'),
    ('priority_ageing_minutes', '{0,1440}', '{"",-1,1441,x}'),
    ('no_show_calls', '{1,20}', '{"",0,21,x}'),
    ('no_show_cool_down_minutes', '{0,1440}', '{"",-1,1441,x}'),
    ('return_place', '{end,old}', '{"",start,"old end"}'),
    ('image_limit_mib', '{1,100,20}', '{"",0,101,x,20m}'),
    ('uploads_of_user', '{1,1000,16}', '{"",0,1001,x}'),
    ('upload_minutes', '{1,60,5}', '{"",0,61,x}'),
    ('assistants_upload_images', '{on,off}', '{"",ON,yes}'),
    ('audit_images', '{off,on}', '{"",ON,yes}'),
    ('public_url', '{https://clinic.example,http://localhost:8080,https://clinic.example/q,"http://[::1]:80",""}', '{clinic.example,http://clinic.example,https://,https://clinic.example/,"https://a b",https://a?x,ftp://a,http://localhost.example}'),
    ('image_store', '{drive,s3,none}', '{"",both,S3}'),
    ('drive_folder', '{1AbC-_x,""}', '{"a b"}'),
    ('s3_endpoint', '{https://s3.example,http://127.0.0.1:9000,""}', '{http://s3.example,s3.example,https://s3.example:123456}'),
    ('s3_region', '{eu-west-1,us-east-1}', '{"a b"}'),
    ('s3_bucket', '{clinic,""}', '{"a b"}'),
    ('s3_prefix', '{images/,""}', '{/images,"a b",a?b}'),
    ('sms_account', '{AC00000000000000000000000000000001,""}', '{"a b"}'),
    ('sms_from', '{+14155550100,MG00000000000000000000000000000001,""}', '{4155550100,+0415555010,+1234567,MG1,+14155550100x}'),
    ('email_server', '{smtp://mail.example:587,smtps://mail.example,"smtp://[::1]:25",""}', '{mail.example,smtp://,smtp://mail.example/x,http://mail.example}'),
    ('email_tls', '{off,required}', '{"",on}'),
    ('email_from', '{clinic@clinic.example,a.b+c@x.example,""}', '{clinic,@x,a@,a..b@x,.a@x,a@x..y,"a b@x",a@b@c}'),
    ('email_user', '{clinic,""}', '{"a b"}'),
    ('outbox_rates', '{1,9999,"20,sms=1,s3=50",20}', '{"",0,10000,x,sms=1,"20,fax=1","20,sms=1,sms=2","20,20","20,"}'),
    ('outbox_lease_seconds', '{5,3600,120}', '{"",4,3601,x}'),
    ('outbox_dead_hours', '{1,8760,72}', '{"",0,8761,x}'),
    ('outbox_keep_days', '{1,3650,30}', '{"",0,3651,x}'),
    ('near_places', '{1,50,3}', '{"",0,51,x}'),
    ('daily_summary', '{on,off}', '{"",ON,yes}'),
    ('password_reset_url', '{https://clinic.example/new?token=,https://clinic.example/new#token=,http://localhost:8000/#,""}', '{clinic.example,http://clinic.example/,ftp://a,"https://a b",https://,#token=}');
SELECT set_eq('SELECT name FROM clinicq.settings()', 'SELECT name FROM tap.value', 'every setting is tried here');
SELECT set_eq('SELECT name, value FROM clinicq.setting', 'SELECT name, default_value FROM clinicq.settings()', 'migrate() writes the defaults');
SELECT is_empty($$ SELECT name FROM clinicq.settings() WHERE length(description) < 20 OR description !~ '\.$' $$, 'every setting says what it means');
SELECT is(tap.set(name, v), '22023', format('%s: %L is refused', name, v)) FROM tap.value, unnest(bad) AS v;
SELECT is(tap.act('display', format('SELECT clinicq.setting(%L)', name)), default_value, name || ' still has its default') FROM clinicq.settings();
SELECT is(tap.set(name, v) || ' ' || tap.act('display', format('SELECT clinicq.setting(%L)', name)), '00000 ' || v, format('%s = %s', name, v)) FROM tap.value, unnest(good) AS v;
SELECT is(tap.set(name, default_value), '00000', name || ' back to its default') FROM clinicq.settings();
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''colour'', ''red'')'), '22023: no such setting: colour', 'an unknown setting');
SELECT is(tap.act('display', 'SELECT clinicq.setting(''colour'')'), '22023: no such setting: colour', 'cannot be read either');
SELECT is(tap.state('admin', 'SELECT clinicq.set_setting(NULL, ''x'')'), '22004', 'a name is needed');
SELECT is(tap.set('display_names', NULL), '22004', 'and a value');
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''session_minutes'', ''4'')'), '22023: session_minutes must be a whole number from 5 to 43200, or such numbers by role', 'a refusal says what is possible');
SELECT matches((SELECT description FROM clinicq.settings() WHERE name = n), 'as in 60,display=90,admin=30', n || ': the hint shows how roles are named') FROM unnest(ARRAY['session_minutes', 'access_minutes', 'session_days']) AS n;

-- Until commit a change belongs to its transaction, and goes with it.
BEGIN;
SELECT is(tap.set('display_names', 'full') || ' ' || tap.act('display', 'SELECT clinicq.setting(''display_names'')'), '00000 full', 'a change in a transaction');
ROLLBACK;
SELECT is(tap.act('display', 'SELECT clinicq.setting(''display_names'')'), 'initials', 'is gone when that rolls back');
BEGIN;
SAVEPOINT here;
SELECT is(tap.set('display_names', 'full') || ' ' || tap.act('display', 'SELECT clinicq.setting(''display_names'')'), '00000 full', 'a change in a savepoint');
ROLLBACK TO here;
SELECT is(tap.act('display', 'SELECT clinicq.setting(''display_names'')'), 'initials', 'goes with the savepoint');
COMMIT;

-- Another session sees it from its next statement on.
CREATE EXTENSION dblink SCHEMA tap;
\getenv password PGPASSWORD
\getenv host PGHOST
\getenv port PGPORT
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s password=%s', :'host', :'port', current_database(), :'password')) \g /dev/null
CREATE FUNCTION tap.other() RETURNS text LANGUAGE sql AS $$
    SELECT v FROM dblink('other', 'SELECT clinicq.setting(''display_names'')') AS t (v text)
$$;
SELECT is(tap.other(), 'initials', 'another session knows the setting');
SELECT tap.set('display_names', 'none') \g /dev/null
SELECT is(tap.other(), 'none', 'and sees the change at once');

-- What they do.
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS queue, tap.act('assistant', 'SELECT clinicq.register_patient(''Élodie  van Dyk'')') AS patient,
    tap.user('board', '{display}') AS board, tap.user('doctor', '{doctor}') AS doctor \gset
CREATE FUNCTION tap.open() RETURNS text LANGUAGE sql AS $$ SELECT tap.state('doctor', 'SELECT clinicq.open_visit(''01-00-001'', 1)') $$;
SELECT is(tap.open(), '42501', 'doctors_open_visits is off');
SELECT is(tap.http('POST /api/visits/', :'doctor', NULL, '{}')->>'sqlstate', '42501', 'over HTTP too');
SELECT tap.set('doctors_open_visits', 'on') \g /dev/null
SELECT is(tap.http('POST /api/visits/', :'doctor', NULL, '{}')->>'sqlstate', '22023', 'on, over HTTP');
SELECT is(tap.open(), '00000', 'and in psql');
SELECT is(tap.http('GET /api/patients/{registration_number}/', :'board', ARRAY[:'patient'])->'body'->>'name', '', 'display_names none');
SELECT tap.set('display_names', 'initials') \g /dev/null
SELECT is(tap.http('GET /api/patients/{registration_number}/', :'board', ARRAY[:'patient'])->'body'->>'name', 'É. v. D.', 'display_names initials');
SELECT is(tap.http('GET /api/visits/', :'board')->'body'->'results'->0->>'patient_full_name', 'É. v. D.', 'in lists of visits too');
SELECT tap.set('display_names', 'full') \g /dev/null
SELECT is(tap.http('GET /api/patients/{registration_number}/', :'board', ARRAY[:'patient'])->'body'->>'name', 'Élodie  van Dyk', 'display_names full');
SELECT is(tap.http('GET /api/patients/{registration_number}/', :'board', ARRAY[:'patient'])->'body'->>'phone', NULL, 'never the telephone');

SELECT * FROM finish();
