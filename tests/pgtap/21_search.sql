-- Proves the search for patients: ranks (exact number, exact telephone, start of the name, any part), that
-- % _ and \ mean themselves, that case does not matter, and that a filled table is searched by its trigram
-- index and never read as a whole.
SELECT no_plan();

CREATE FUNCTION tap.find(query text, max_rows int DEFAULT 50) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format(
        'SELECT coalesce(string_agg(registration_number, '' ''), ''nobody'') FROM clinicq.find_patients(%L, %s)', query, max_rows))
$$;

INSERT INTO clinicq.patient (registration_number, name, phone) VALUES
    ('02-00-005', 'Adaeze Obi', '0803 1234567'),
    ('02-00-004', 'Musa Ada', '555'),
    ('02-00-003', 'Zainab 555 Bello', '0555'),
    ('02-00-002', '555 Streetname', NULL),
    ('02-00-001', 'Nkem Okoro', '5550'),
    ('05-55-000', 'Phone of another', '777'),
    ('03-00-001', '100% Cotton', NULL),
    ('03-00-002', '100 Cotton', NULL),
    ('03-00-003', 'a_b', NULL),
    ('03-00-004', 'axb', NULL),
    ('03-00-005', 'back\slash', NULL),
    ('03-00-006', 'backslash', NULL),
    ('03-00-007', 'ÖZGÜR Çelik', '+49 (30) 1'),
    ('03-00-008', 'O''Brien "Bo"', NULL),
    ('10-00-0000', 'Long Number', '0100000'),
    ('QC-12', 'Letters in the number', NULL);

-- Ranks.
SELECT is(tap.find('555'), '02-00-004 02-00-002 02-00-001 02-00-003 05-55-000', 'exact telephone, then the start of the name, then any part of name, telephone or number');
SELECT is(tap.find('0100000'), '10-00-0000', 'a telephone that is like a number');
SELECT is(tap.find('02-00-004'), '02-00-004', 'an exact number with dashes');
SELECT is(tap.find('0200004'), '02-00-004', 'and without');
SELECT is(tap.find(' 02 00 004 '), '02-00-004', 'and with blanks');
UPDATE clinicq.patient SET phone = '0200005', name = '0200005 Start' WHERE registration_number = '02-00-004';
SELECT is(tap.find('0200005'), '02-00-005 02-00-004', 'an exact number goes before an exact telephone');
UPDATE clinicq.patient SET phone = '555', name = 'Musa Ada' WHERE registration_number = '02-00-004';
SELECT is(tap.find('ada'), '02-00-005 02-00-004', 'the start of a name goes before a part of one');
SELECT is(tap.find('ADA'), '02-00-005 02-00-004', 'case does not matter');
SELECT is(tap.find('02-00'), '02-00-001 02-00-002 02-00-003 02-00-004 02-00-005', 'part of a number with dashes, in the order of numbers');
SELECT is(tap.find('02000'), '02-00-001 02-00-002 02-00-003 02-00-004 02-00-005', 'and without');
SELECT is(tap.find('QC12'), 'QC-12', 'a number with letters');
SELECT is(tap.find('1234567'), '02-00-005', 'part of a telephone');
SELECT is(tap.find('0803 123'), '02-00-005', 'with its blank');
SELECT is(tap.find('özgür'), '03-00-007', 'letters beyond ASCII without regard to case');
SELECT is(tap.find('555', 2), '02-00-004 02-00-002', 'max_rows keeps the best');

-- Characters that LIKE knows.
SELECT is(tap.find('100%'), '03-00-001', '% means itself');
SELECT is(tap.find('%'), '03-00-001', 'alone too');
SELECT is(tap.find('a_b'), '03-00-003', '_ means itself');
SELECT is(tap.find('_'), '03-00-003', 'alone too');
SELECT is(tap.find(E'k\\s'), '03-00-005', '\ means itself');
SELECT is(tap.find(E'\\'), '03-00-005', 'alone too');
SELECT is(tap.find(E'\\%'), 'nobody', 'and escapes nothing');
SELECT is(tap.find('O''Brien "Bo"'), '03-00-008', 'quotes are letters');
SELECT is(tap.find('(30)'), '03-00-007', 'brackets and plus too');
SELECT is(tap.find('zz top'), 'nobody', 'nobody');
SELECT is(tap.find('---'), 'nobody', 'dashes alone are no number');

-- Refusals.
SELECT is(tap.find(''), '22023: query must not be empty', 'an empty query');
SELECT is(tap.find(NULL), '22004: query must not be null', 'none');
SELECT is(tap.find('ada', n), '22023: max_rows must be from 1 to 1000', n || ' rows') FROM unnest(ARRAY[0, -1, 1001]) AS n;
SELECT is(tap.state('assistant', 'SELECT * FROM clinicq.find_patients(''ada'', NULL)'), '22023', 'no number of rows');

-- Over HTTP.
SELECT tap.user('doctor', '{doctor}') AS token \gset
CREATE FUNCTION tap.search(query text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('GET /api/patients/search/', encode(sha256('doctor'), 'hex'), NULL, NULL, query::jsonb)
$$;
SELECT is((SELECT string_agg(r->>'registration_number', ' ') FROM jsonb_array_elements(tap.search('{"q": "555"}')->'body'->'results') AS r),
    '02-00-004 02-00-002 02-00-001 02-00-003 05-55-000', 'the same over HTTP');
SELECT is(tap.search('{"q": "555", "page_size": "2", "page": "2"}')->'body'->>'count', '5', 'a page knows the whole count');
SELECT is((SELECT string_agg(r->>'registration_number', ' ') FROM jsonb_array_elements(tap.search('{"q": "555", "page_size": "2", "page": "last"}')->'body'->'results') AS r),
    '05-55-000', 'the last page');
SELECT is(tap.search('{"q": "555", "page": "2"}')->>'sqlstate', 'P0002', 'there is no page after the last');
SELECT is(tap.search('{"q": ""}')->>'sqlstate', 'QC400', 'an empty q is refused');
SELECT is(tap.search(NULL)->>'sqlstate', 'QC400', 'none too');

-- A filled table. Where the search reads the index, it fetches few rows.
ALTER TABLE clinicq.patient DISABLE TRIGGER clinicq_audit;
CREATE FUNCTION tap.fill(first int, last int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO clinicq.patient (registration_number, name, phone)
    SELECT to_char(n, 'FM00-00-0000'),
        initcap(left(translate(md5(n::text), '0123456789', 'ghijklmnop'), 14)) || ' ' || initcap(left(translate(md5((n % 5000)::text), '0123456789', 'qrstuvwxyz'), 8)),
        '08' || to_char(n::bigint * 7919 % 1000000007, 'FM000000000')
    FROM generate_series(first, last) AS n
$$;
-- Many without the index, which is quicker; the last as they come.
SELECT pg_get_indexdef('clinicq.patient_search'::regclass) AS search_index \gset
DROP INDEX clinicq.patient_search;
SELECT tap.fill(20000000, 20050000) \g /dev/null
:search_index;
SELECT tap.fill(20050001, 20052000) \g /dev/null
ALTER TABLE clinicq.patient ENABLE TRIGGER clinicq_audit;
-- Every row is sampled, so that the plan does not hang on which are.
SET default_statistics_target = 1000;
ANALYZE clinicq.patient;
SELECT name AS someone, split_part(name, ' ', 2) AS second, phone AS telephone, registration_number AS number
FROM clinicq.patient WHERE registration_number = '20-01-2345' \gset

BEGIN;
CREATE FUNCTION tap.scans(index text) RETURNS bigint LANGUAGE sql AS $$ SELECT pg_stat_get_xact_numscans(('clinicq.' || $1)::regclass) $$;
SELECT tap.find(substr(:'someone', 3, 7)) AS found, tap.find(substr(:'telephone', 3, 7)) AS found_phone, tap.find('20012345') AS found_number,
    tap.find(substr(:'someone', 1, 8)) AS found_start \gset
SELECT matches(:'found'::text, :'number'::text, 'a part of a name in 50,000 patients');
SELECT matches(:'found_phone'::text, :'number'::text, 'a part of a telephone');
SELECT is(:'found_number'::text, :'number'::text, 'a number');
SELECT matches(:'found_start'::text, :'number'::text, 'the start of a name');
SELECT cmp_ok(tap.scans('patient_search'), '>=', 4::bigint, 'each search goes through the trigram index');
SELECT cmp_ok(tap.scans('patient_number_digits'), '>=', 2::bigint, 'the exact number, where the query can be one, through its own index');
SELECT cmp_ok(tap.scans('patient_phone'), '>=', 4::bigint, 'the exact telephone too');
SELECT cmp_ok(tap.scans('patient_name_start'), '>=', 4::bigint, 'the start of the name too');
SELECT is(pg_stat_get_xact_numscans('clinicq.patient'::regclass), 0::bigint, 'the table is never read as a whole');
COMMIT;
SELECT is(split_part(tap.search(format('{"q": %s}', to_json(substr(:'second', 1, 1))))->'body'->>'count_exact', ' ', 1), 'false', 'a letter that almost every name has is counted up to 10,000')
WHERE (SELECT count(*) FROM clinicq.patient WHERE name ILIKE '%' || substr(:'second', 1, 1) || '%') > 10001;

SELECT * FROM finish();
