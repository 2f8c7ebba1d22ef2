-- Proves how registration numbers are made: the default format from its first number to its last and
-- past it, formats with placeholders and a serial for each prefix, and what a format may look like.
SELECT no_plan();

CREATE FUNCTION tap.next(category text DEFAULT '01') RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT clinicq.next_registration_number(%L)', category))
$$;
-- The serial that the next number of the default format is made of.
CREATE FUNCTION tap.serial(bigint) RETURNS void LANGUAGE sql AS $$
    SELECT setval('clinicq.registration_number_seq', $1, false)
$$;
CREATE FUNCTION tap.set_format(text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.state('admin', format('SELECT clinicq.set_setting(''registration_number_format'', %L)', $1))
$$;

SELECT is(tap.act('assistant', 'SELECT clinicq.setting(''registration_number_format'')'), '##-##-###', 'the default format');
SELECT is(tap.next(), '01-00-001', 'the first number');
SELECT is(tap.next(), '01-00-002', 'the second');
SELECT is(tap.next('05'), '01-00-003', 'the category does not matter in this format');
SELECT tap.serial(567890);
SELECT is(tap.next(), '05-67-890', 'any number');
SELECT is(tap.next(), '05-67-891', 'is followed by the next');
SELECT tap.serial(99999);
SELECT is(tap.next(), '00-99-999', 'a serial shorter than the format is filled with zeros');
SELECT tap.serial(199999);
SELECT is(tap.next() || ' ' || tap.next(), '01-99-999 02-00-000', 'the last group carries into the one before');
SELECT tap.serial(9999999);
SELECT is(tap.next(), '99-99-999', 'the last number of nine characters');
SELECT is(tap.next(), '10-00-0000', 'then the last group grows to four digits');
SELECT is(tap.next(), '10-00-0001', 'and goes on');
SELECT tap.serial(99999999);
SELECT is(tap.next(), '99-99-9999', 'the last number of this format');
SELECT is(tap.next(), '53400: no registration number is left in this format', 'past it a clear error');
SELECT is(tap.act('assistant', 'SELECT clinicq.register_patient(''Ada'')'),
    '53400: no registration number is left in this format', 'which registering gives too');
SELECT is((SELECT count(*) FROM clinicq.patient), 0::bigint, 'and no patient');
SELECT is(tap.act('assistant', 'SELECT clinicq.next_registration_number(NULL)'),
    '22023: category must be one of 01, 02, 03, 04, 05', 'a category is needed');
SELECT is(tap.state('assistant', format('SELECT clinicq.next_registration_number(%L)', c)), '22023', format('%L is no category', c))
FROM unnest(ARRAY['', '00', '06', '1', '001', '10', 'AB']) AS c;

-- Two sessions never share a number, committed or not: a rolled back one is a gap.
SELECT tap.serial(100010);
BEGIN;
SELECT is(tap.next(), '01-00-010', 'a number taken in a transaction');
ROLLBACK;
SELECT is(tap.next(), '01-00-011', 'is not given again when that rolls back');
SELECT is(tap.act('doctor', 'SELECT clinicq.register_patient(''Ada'')'), '01-00-012', 'registering takes the next');
SELECT tap.serial(100012);
SELECT is(tap.act('doctor', 'SELECT clinicq.register_patient(''Ben'')'), '01-00-013', 'a number that is in use is passed over');

-- Placeholders.
SELECT is(tap.set_format('{MM}{YY}-{CT}-####'), '00000', 'a format with placeholders');
SELECT to_char(clinicq.service_day(), 'MMYY') AS prefix \gset
SELECT is(tap.next('01'), :'prefix' || '-01-0001', 'month, year, category and the first serial');
SELECT is(tap.next('01'), :'prefix' || '-01-0002', 'then the next');
SELECT is(tap.next('02'), :'prefix' || '-02-0001', 'another category counts for itself');
SELECT is(tap.act('assistant', 'SELECT clinicq.register_patient(''Cleo'', category => ''02'')'), :'prefix' || '-02-0002', 'registering takes the serial of the category');
BEGIN;
SELECT is(tap.next('03'), :'prefix' || '-03-0001', 'a counted number');
ROLLBACK;
SELECT is(tap.next('03'), :'prefix' || '-03-0001', 'comes back with its transaction');
SELECT set_eq('SELECT prefix, last_serial FROM clinicq.registration_counter', format(
    'VALUES (%L, 2::bigint), (%L, 2), (%L, 1)', :'prefix' || '-01-', :'prefix' || '-02-', :'prefix' || '-03-'),
    'one counter for each prefix');
UPDATE clinicq.registration_counter SET last_serial = 9998 WHERE prefix = :'prefix' || '-01-';
SELECT is(tap.next() || ' ' || tap.next(), :'prefix' || '-01-9999 ' || :'prefix' || '-01-10000', 'the serial grows by one digit');
UPDATE clinicq.registration_counter SET last_serial = 99999 WHERE prefix = :'prefix' || '-01-';
SELECT is(tap.next(), '53400: no registration number is left in this format', 'and ends after that');
SELECT is(tap.next('04'), :'prefix' || '-04-0001', 'for that prefix only');
INSERT INTO clinicq.patient (registration_number, name) SELECT :'prefix' || '-04-' || n, 'x' FROM unnest(ARRAY['0002', '00-03', 'X']) AS n;
SELECT is(tap.next('04'), :'prefix' || '-04-0004', 'numbers that another format has given are passed over');
INSERT INTO clinicq.patient (registration_number, name) VALUES ('1199-01-0001', 'of 1999');
UPDATE clinicq.clinic SET timezone = 'Pacific/Kiritimati';
SELECT to_char(clinicq.service_day(), 'MMYY') AS there \gset
SELECT is(tap.next('05'), :'there' || '-05-0001', 'month and year are those of the service day of the clinic');

-- What a format may be.
SELECT tap.serial(10001);
SELECT is(tap.set_format('###'), '22023', 'a format that the sequence has outgrown is refused');
SELECT tap.serial(9999);
SELECT is(tap.set_format(f), '00000', f || ' is a format') FROM unnest(ARRAY[
    '###', '######', 'QC-####', '{YY}####', '{YY}{MM}-####', '{CT}-##-####', 'A1-{MM}-###', '##############']) AS f;
SELECT is(tap.set_format(f), '22023', f || ' is none') FROM unnest(ARRAY[
    '', '##', 'QC-', '{MM}', '####-', '-####', '####{MM}', '##A##', '{XX}-####', '{mm}-####', 'a-####', '## ###',
    '###############', '{MM}{YY}-{CT}-#######', '##/###', 'Ä###', '###{', '{MM', '###1']) AS f;

-- The patient who is there can be found whatever the format is now.
SELECT is((SELECT count(*) FROM clinicq.patient WHERE replace(registration_number, '-', '') = '0100012'), 1::bigint, 'old numbers stay');

SELECT * FROM finish();
