-- Proves prescriptions: images come in pieces and are stored once, whoever sends them; the type is that of
-- the bytes; metadata of a JPEG goes; addresses are signed; who may see them; restriction and erasure.
SELECT no_plan();

CREATE TABLE tap.session (role text PRIMARY KEY, token text);
INSERT INTO tap.session SELECT r, tap.user('p.' || r, ARRAY[r]) FROM unnest(ARRAY['admin', 'doctor', 'assistant', 'display', 'auditor', 'reporter']) AS r;
INSERT INTO tap.session VALUES ('other', tap.user('p.other', '{doctor}'));
CREATE FUNCTION tap.as(who text, route text, path text[] DEFAULT NULL, body text DEFAULT NULL, query jsonb DEFAULT NULL, fault text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http($2, (SELECT token FROM tap.session WHERE role = $1), $3, $4, $5, $6)
$$;
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') \g /dev/null
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', n)) FROM unnest(ARRAY['Ada', 'Bea', 'Cleo']) AS n \g /dev/null
SELECT tap.act('assistant', format('SELECT clinicq.open_visit(%L, 1)', n)) FROM unnest(ARRAY['01-00-001', '01-00-002', '01-00-003']) AS n \g /dev/null

-- Small files of each type; a JPEG is what is between its first and last marker.
CREATE TABLE tap.file (name text PRIMARY KEY, bytes bytea);
INSERT INTO tap.file VALUES
    ('png', '\x89504e470d0a1a0a0000000d49484452' || sha256('png')),
    ('webp', convert_to('RIFF', 'UTF8') || '\x10000000' || convert_to('WEBPVP8 ', 'UTF8') || sha256('webp')),
    ('heic', '\x00000018' || convert_to('ftypheic', 'UTF8') || '\x00000000' || convert_to('mif1heic', 'UTF8') || sha256('heic')),
    ('mif1', '\x00000018' || convert_to('ftypmif1', 'UTF8') || '\x00000000' || convert_to('mif1heic', 'UTF8') || sha256('mif1')),
    ('pdf', convert_to('%PDF-1.4', 'UTF8') || sha256('pdf')),
    ('jpeg', '\xffd8ffdb0004aabbffda0004ccdd0102ff0003ffd9'),
    ('gif', convert_to('GIF89a', 'UTF8') || sha256('gif')), ('html', '<html><script>'), ('svg', '<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ('avif', '\x0000001c' || convert_to('ftypavif', 'UTF8') || '\x00000000' || convert_to('mif1miaf', 'UTF8') || sha256('avif')),
    ('mp4', '\x00000018' || convert_to('ftypisom', 'UTF8') || '\x00000200' || convert_to('isomiso2', 'UTF8') || sha256('mp4')),
    ('riff', convert_to('RIFF', 'UTF8') || '\x10000000' || convert_to('WAVEfmt ', 'UTF8') || sha256('riff')),
    ('short', '\x8950'), ('polyglot', convert_to('x', 'UTF8') || '\xffd8ffe0');

-- Sends a file in pieces, each in a transaction of its own as the shim does.
CREATE PROCEDURE tap.send(who text, file bytea, piece integer, INOUT result jsonb) LANGUAGE plpgsql AS $$
DECLARE
    code text;
    at integer := 0;
BEGIN
    result := tap.as(who, 'INTAKE POST /api/prescriptions/', NULL, NULL, '{}');
    COMMIT;
    code := result->'body'->>'upload';
    WHILE at < length(file) LOOP
        result := tap.as(who, 'INTAKE POST /api/prescriptions/', NULL, replace(encode(substring(file FROM at + 1 FOR piece), 'base64'), E'\n', ''),
            jsonb_build_object('upload', code, 'offset', at::text) || CASE WHEN at + piece >= length(file) THEN '{"last": "1"}' ELSE '{}' END::jsonb);
        COMMIT;
        EXIT WHEN result ? 'sqlstate';
        at := at + piece;
    END LOOP;
END
$$;
CREATE PROCEDURE tap.give(who text, name text, piece integer, INOUT result jsonb) LANGUAGE plpgsql AS $$
DECLARE
    file bytea := (SELECT f.bytes FROM tap.file f WHERE f.name = give.name);
BEGIN
    CALL tap.send(who, file, piece, result);
END
$$;
CREATE FUNCTION tap.made(who text, visit text, hash text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.as(who, 'POST /api/prescriptions/', NULL, json_build_object('visit', visit, 'image', json_build_object('sha256', hash))::text)
$$;
-- A statement for each request: a transaction serves one.
CREATE FUNCTION tap.line(call text, expected text, name text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT is(%s, %L, %L)', call, expected, name)
$$;
CREATE TABLE tap.sent (name text PRIMARY KEY, result jsonb);
DO $$
DECLARE
    f record;
    r jsonb;
BEGIN
    FOR f IN SELECT * FROM tap.file LOOP
        CALL tap.send('doctor', f.bytes, CASE f.name WHEN 'jpeg' THEN 3 ELSE 1000 END, r);
        INSERT INTO tap.sent VALUES (f.name, r);
    END LOOP;
END
$$;
SELECT is(s.result->'body'->>'sha256', encode(sha256(f.bytes), 'hex'), f.name || ' is taken, by its bytes; the hash is that of what was sent')
FROM tap.sent s JOIN tap.file f USING (name) WHERE name IN ('png', 'webp', 'heic', 'mif1', 'pdf', 'jpeg');
SELECT is(s.result->>'sqlstate', 'QC415', f.name || ' is not') FROM tap.sent s JOIN tap.file f USING (name) WHERE name NOT IN ('png', 'webp', 'heic', 'mif1', 'pdf', 'jpeg');

-- A prescription of it.
SELECT is((tap.made('doctor', '1', result->'body'->>'sha256') - 'headers' #- '{body,image_url}' #- '{body,created_at}')::text,
    '{"body": {"id": 1, "size": 48, "visit": 1, "drive_url": "", "created_by": "p.doctor", "media_type": "image/png", "drive_file_id": ""}, "actor": 2, "status": 201}', 'a prescription')
FROM tap.sent WHERE name = 'png';
SELECT is((SELECT string_agg(bytes, '' ORDER BY start) FROM clinicq.image_chunk WHERE image_id = 1), (SELECT bytes FROM tap.file WHERE name = 'png'), 'with all of its bytes');
SELECT is((SELECT count(*) FROM clinicq.upload WHERE media_type = 'image/png'), 0::bigint, 'its upload is gone');
SELECT is(tap.made('doctor', '1', result->'body'->>'sha256')->>'sqlstate', 'P0002', 'so it cannot be used twice') FROM tap.sent WHERE name = 'png';
SELECT is(tap.made('other', '1', result->'body'->>'sha256')->>'sqlstate', 'P0002', 'nor by another user') FROM tap.sent WHERE name = 'pdf';
CREATE TABLE tap.again (result jsonb);
DO $$
DECLARE r jsonb;
BEGIN
    CALL tap.give('other', 'png', 30, r);
    INSERT INTO tap.again VALUES (r);
END
$$;
SELECT is(tap.made('other', '1', result->'body'->>'sha256')->>'status', '200', 'the same image on the same visit is the same prescription') FROM tap.again;
DO $$
DECLARE r jsonb;
BEGIN
    CALL tap.give('doctor', 'png', 40, r);
    UPDATE tap.again SET result = r;
END
$$;
SELECT is(tap.made('doctor', '2', result->'body'->>'sha256')->>'status', '201', 'on another visit it is another') FROM tap.again;
SELECT results_eq('SELECT count(*), count(DISTINCT image_id) FROM clinicq.prescription', 'VALUES (2::bigint, 1::bigint)', 'of one image');
SELECT is((SELECT count(*) FROM clinicq.image), 1::bigint, 'stored once');
SELECT is((SELECT attstorage FROM pg_attribute WHERE attrelid = 'clinicq.image_chunk'::regclass AND attname = 'bytes'), 'e', 'uncompressed, so that slices can be read');
SELECT tap.line(format('tap.made(''doctor'', %L, ''ab'')->>''sqlstate''', v), s, 'visit ' || v) FROM (VALUES ('', 'QC400'), ('x', 'QC400'), ('1.5', 'QC400'), ('99', 'P0002'), ('1', 'P0002')) AS f (v, s) \gexec
SELECT tap.line(format('tap.as(''doctor'', ''POST /api/prescriptions/'', NULL, %L)->>''sqlstate''', b), 'QC400', 'body ' || b) FROM unnest(ARRAY['{}', '{"visit": 1}', '{"image": {"sha256": "ab"}}',
    '{"visit": 1, "image": "ab"}', '{"visit": 1, "image": ["ab"]}', '{"visit": 1, "image": {"sha256": 5}}', '{"visit": 1, "photo": {"sha256": "ab"}}']) AS b \gexec

-- Pieces.
CREATE FUNCTION tap.piece(who text, query jsonb, body text DEFAULT 'iVBORw0KGgoAAAANSUhEUg==', fault text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.as($1, 'INTAKE POST /api/prescriptions/', NULL, $3, $2, $4)
$$;
SELECT tap.line(format('tap.piece(%L, ''{}'')->>''sqlstate''', role), CASE WHEN role IN ('admin', 'doctor') THEN NULL ELSE '42501' END, role || ' sends images or not') FROM tap.session WHERE role <> 'other' \gexec
SELECT is(tap.piece('doctor', '{}', NULL, 'media-type')->>'sqlstate', 'QC415', 'no form');
SELECT is(tap.piece('doctor', '{}', NULL, 'form')->>'sqlstate', 'QC400', 'a form without a boundary');
SELECT is(tap.piece('assistant', '{}', NULL, 'form')->>'sqlstate', '42501', 'who may goes first');
SELECT is(tap.piece('doctor', '{"length": "21037056"}')->>'status', '200', '20 MiB and the form');
SELECT is(tap.piece('doctor', '{"length": "21037057"}')->>'sqlstate', 'QC413', 'one byte more is refused before it comes');
SELECT is(tap.piece('doctor', '{"length": "x"}')->>'sqlstate', '22023', 'no length');
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''assistants_upload_images'', ''on'')'), '', 'the clinic lets assistants');
SELECT is(tap.piece('assistant', '{}')->>'status', '200', 'so they do');
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''assistants_upload_images'', ''off'')'), '', 'and no longer');
DELETE FROM clinicq.upload;
SELECT tap.piece('doctor', '{}')->'body'->>'upload' AS code \gset
SELECT is(tap.piece('other', jsonb_build_object('upload', :'code', 'offset', '0'))->>'sqlstate', 'P0002', 'nobody else adds to it');
SELECT tap.line(format('tap.piece(''doctor'', jsonb_build_object(''upload'', %L, ''offset'', ''0''))->>''sqlstate''', c), 'P0002', 'no upload: ' || c) FROM unnest(ARRAY['x', repeat('0', 32), upper(:'code') || '0', :'code' || '00']) AS c \gexec
SELECT is(tap.piece('doctor', jsonb_build_object('upload', :'code', 'offset', '5'))->>'sqlstate', 'QC409', 'a piece that leaves some out');
SELECT tap.line(format('tap.piece(''doctor'', jsonb_build_object(''upload'', %L, ''offset'', ''0''), %L)->>''sqlstate''', :'code', b), 'QC400', 'no base64: ' || b) FROM unnest(ARRAY['a', 'ab!=', 'a===', '====']) AS b \gexec
SELECT is(tap.piece('doctor', jsonb_build_object('upload', :'code', 'offset', '0', 'last', '1'), '')->>'message', 'the image is empty', 'nothing at all');
SELECT is(tap.piece('doctor', jsonb_build_object('upload', :'code', 'offset', '0'))->>'status', '204', 'a piece');
SELECT is(tap.piece('doctor', jsonb_build_object('upload', :'code', 'offset', '0'))->>'sqlstate', 'QC409', 'is not taken twice');
UPDATE clinicq.upload SET received = 20 * 1024 * 1024 - 16;
SELECT is(tap.piece('doctor', jsonb_build_object('upload', :'code', 'offset', '20971504'))->>'status', '204', 'the last bytes there is room for');
SELECT is(tap.piece('doctor', jsonb_build_object('upload', :'code', 'offset', '20971520'), 'YQ==')->>'message', 'the image is larger than 20 MiB', 'one more');
UPDATE clinicq.upload SET used_at = now() - interval '5 minutes';
SELECT is(tap.piece('doctor', jsonb_build_object('upload', :'code', 'offset', '20971520'))->>'sqlstate', 'P0002', 'one that was given up');
SELECT is(tap.piece('doctor', '{}')->>'status', '200', 'the next upload');
SELECT is((SELECT count(*) FROM clinicq.upload), 1::bigint, 'removes it');
SELECT is((SELECT count(*) FROM clinicq.upload_chunk), 0::bigint, 'and its pieces');
SELECT is((SELECT count(*) FROM generate_series(1, 15) WHERE tap.act('shim', format($$ SELECT status FROM clinicq_api.call('INTAKE POST /api/prescriptions/', '%s', NULL, '{}', NULL, NULL, NULL, NULL, '') $$,
    (SELECT token FROM tap.session WHERE role = 'doctor'))) = '200'), 1::bigint, 'a transaction serves one request');
INSERT INTO clinicq.upload (id, user_id) SELECT substring(sha256(n::text::bytea) FOR 16), (SELECT id FROM clinicq.app_user WHERE username = 'p.doctor') FROM generate_series(1, 16) AS n;
SELECT is(tap.piece('doctor', '{}')->>'sqlstate', 'QC429', 'so many at once and no more');
SELECT is(tap.piece('other', '{}')->>'status', '200', 'others go on');
DELETE FROM clinicq.upload;

-- Metadata of a JPEG: position, camera and all goes; how the picture is to be shown stays.
CREATE FUNCTION tap.segment(marker text, contents bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT decode('ff' || marker || lpad(to_hex(length(contents) + 2), 4, '0'), 'hex') || contents
$$;
CREATE FUNCTION tap.exif(orientation integer, rest bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT tap.segment('e1', '\x457869660000'::bytea || '\x49492a0008000000' || '\x0200' || '\x12010300' || '\x01000000' || decode(lpad(to_hex(orientation), 2, '0') || '000000', 'hex')
        || '\x25880400' || '\x01000000' || '\x26000000' || '\x00000000' || rest)
$$;
\set picture '\\xffdb0004aabbffda0004ccdd0102ff00ff0003ffd011'
\set turned '\\xffe10022457869660000' '4d4d002a00000008000101120003000000010006000000000000'
CREATE TABLE tap.jpeg (name text PRIMARY KEY, bytes bytea, stays bytea);
INSERT INTO tap.jpeg SELECT name, '\xffd8' || bytes || '\xffd9', '\xffd8' || stays || '\xffd9' FROM (VALUES
    ('none', :'picture'::bytea, :'picture'::bytea),
    ('gps', tap.exif(1, 'GPS 31.5204 N 74.3587 E') || :'picture', :'picture'),
    ('turned', tap.exif(6, 'GPS 31.5204 N 74.3587 E') || :'picture', :'turned' || :'picture'::bytea),
    ('jfif', tap.segment('e0', 'JFIF'::bytea || '\x0001010000010001'::bytea) || tap.exif(1, repeat('x', 60000)::bytea) || :'picture', tap.segment('e0', 'JFIF'::bytea || '\x0001010000010001'::bytea) || :'picture'),
    ('xmp', tap.segment('e1', 'http://ns.adobe.com/xap/1.0/'::bytea || '\x00'::bytea || 'exif:GPSLatitude') || tap.segment('ed', 'Photoshop 3.0') || tap.segment('fe', 'a comment') || :'picture', :'picture'),
    ('colours', tap.segment('e2', 'ICC_PROFILE'::bytea || '\x000101'::bytea || repeat('y', 3000)::bytea) || tap.segment('ee', 'Adobe'::bytea || '\x0064'::bytea) || tap.segment('e2', 'MPF'::bytea || '\x00'::bytea || 'x') || :'picture',
        tap.segment('e2', 'ICC_PROFILE'::bytea || '\x000101'::bytea || repeat('y', 3000)::bytea) || tap.segment('ee', 'Adobe'::bytea || '\x0064'::bytea) || :'picture'),
    ('between scans', :'picture'::bytea || tap.exif(1, 'GPS') || :'picture', :'picture'::bytea || :'picture'),
    ('fill bytes', '\xffffff'::bytea || substring(:'picture'::bytea FROM 2), :'picture')
) AS f (name, bytes, stays);
INSERT INTO tap.jpeg SELECT 'after the end', bytes || '\xffd8' || tap.exif(1, 'GPS') || '\xffd9', stays FROM tap.jpeg WHERE name = 'none';
INSERT INTO tap.jpeg SELECT 'cut off', substring(bytes FOR length(bytes) - 3), substring(bytes FOR length(bytes) - 3) FROM tap.jpeg WHERE name = 'none';
CREATE TABLE tap.stripped (name text, piece integer, result jsonb, original bytea, stored bytea);
DO $$
DECLARE
    j record;
    size integer;
    r jsonb;
BEGIN
    FOR j IN SELECT * FROM tap.jpeg LOOP
        FOREACH size IN ARRAY CASE WHEN length(j.bytes) < 4000 THEN '{3,4,5,17,100000}' ELSE '{9973,100000}' END::integer[] LOOP
            CALL tap.send('admin', j.bytes, size, r);
            INSERT INTO tap.stripped SELECT j.name, size, r, original_sha256,
                (SELECT string_agg(c.bytes, '' ORDER BY start) FROM clinicq.upload_chunk c WHERE c.upload_id = u.id) FROM clinicq.upload u;
            DELETE FROM clinicq.upload;
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;
SELECT is(s.stored, j.stays, format('%s, in pieces of %s: %s', name, piece, 'what stays')) FROM tap.stripped s JOIN tap.jpeg j USING (name) ORDER BY name, piece;
SELECT is_empty($$ SELECT name FROM tap.stripped s JOIN tap.jpeg j USING (name) WHERE original IS DISTINCT FROM sha256(j.bytes) OR result->'body'->>'sha256' IS DISTINCT FROM encode(sha256(j.bytes), 'hex') $$,
    'the hash of the original is kept');
SELECT is_empty($$ SELECT name FROM tap.stripped WHERE position('GPS'::bytea IN stored) > 0 $$, 'no position is stored');
CREATE TABLE tap.bad (name text, result jsonb);
DO $$
DECLARE
    b record;
    r jsonb;
BEGIN
    FOR b IN SELECT * FROM (VALUES ('no picture', '\xffd8ffd9'::bytea), ('no scan', '\xffd8ffdb0004aabb'), ('a length of 1', '\xffd8ffdb0001aaffda0004ccddffd9'),
        ('no marker', '\xffd8ffdb0004aabb00ffda0004ccddffd9'), ('a second start', '\xffd8ffd8ffda0004ccddffd9'), ('within metadata', '\xffd8ffe1fff045786966')) AS f (name, bytes) LOOP
        CALL tap.send('admin', b.bytes, 100, r);
        INSERT INTO tap.bad VALUES (b.name, r);
    END LOOP;
END
$$;
SELECT is(result->>'message', CASE name WHEN 'no picture' THEN NULL ELSE 'the image is not a whole JPEG file' END, name) FROM tap.bad;
DELETE FROM clinicq.upload;

-- What is stored is what stays, by its own hash.
INSERT INTO tap.file SELECT name, bytes FROM tap.jpeg WHERE name IN ('gps', 'none');
DO $$
DECLARE r jsonb;
BEGIN
    CALL tap.give('doctor', 'gps', 50, r);
    INSERT INTO tap.sent VALUES ('gps', r);
    CALL tap.give('doctor', 'none', 50, r);
    INSERT INTO tap.sent VALUES ('none', r);
END
$$;
SELECT tap.made('doctor', '1', result->'body'->>'sha256')->'body'->>'id' AS gps FROM tap.sent WHERE name = 'gps' \gset
SELECT results_eq(format($$ SELECT i.sha256, pr.original_sha256, pr.original_size FROM clinicq.prescription pr JOIN clinicq.image i ON i.id = pr.image_id WHERE pr.id = %s $$, :'gps'),
    $$ SELECT sha256(stays), sha256(bytes), length(bytes)::bigint FROM tap.jpeg WHERE name = 'gps' $$, 'address by content, and the hash of the original');
SELECT is(tap.made('doctor', '1', result->'body'->>'sha256')->>'status', '200', 'what differed in metadata only is the same image') FROM tap.sent WHERE name = 'none';

-- The address.
CREATE FUNCTION tap.address(who text, id text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(m[1], m[2]) FROM regexp_matches(tap.as(who, 'GET /api/prescriptions/{id}/', ARRAY[id])->'body'->>'image_url', '[?&]([a-z]+)=([^&]+)', 'g') AS m
$$;
CREATE FUNCTION tap.image(id text, query jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http('GET /api/prescriptions/{id}/image/', NULL, ARRAY[id], NULL, query)
$$;
SELECT tap.address('doctor', '1') AS own \gset
CREATE TABLE tap.shown AS SELECT tap.image('1', :'own') AS r;
SELECT is((SELECT r->>'body' FROM tap.shown), (SELECT encode(bytes, 'base64') FROM tap.file WHERE name = 'png'), 'it opens without a token');
SELECT is((SELECT r FROM tap.shown)->'headers'->>h, v, h) FROM (VALUES ('Content-Type', 'image/png'), ('Content-Security-Policy', 'sandbox; default-src ''none'''), ('Cross-Origin-Resource-Policy', 'cross-origin'),
    ('Content-Disposition', 'inline; filename="prescription-1.png"'), ('Cache-Control', 'private, max-age=300'), ('Body-Length', '48'), ('Accept-Ranges', 'bytes'), ('Next-Page', NULL)) AS f (h, v);
SELECT is(:'own'::jsonb->>'expires', extract(epoch FROM (date_trunc('day', now() AT TIME ZONE 'UTC') + interval '3 days'))::bigint::text, 'until the end of the next UTC day and 24 hours more');
SELECT is(tap.address('doctor', '1'), :'own'::jsonb, 'the same text all day');
SELECT isnt(tap.address('other', '1')->>'signature', :'own'::jsonb->>'signature', 'each user has an own one');
SELECT is(tap.image('2', :'own')->>'sqlstate', 'P0002', 'it opens no other image');
SELECT tap.line(format('tap.image(''1'', %L::jsonb || %L)->>''sqlstate''', :'own', change), 'P0002', 'forged: ' || change) FROM unnest(ARRAY['{"user": "1"}', '{"expires": "9999999999"}', '{"expires": "x"}', '{"signature": ""}',
    '{"signature": "00"}', '{"user": ""}', '{"user": "9223372036854775808"}']) AS change \gexec
SELECT is(tap.image('1', jsonb_set(:'own', '{signature}', to_jsonb(repeat('0', 64))))->>'sqlstate', 'P0002', 'another signature');
SELECT tap.line(format('tap.image(''1'', %L::jsonb - %L)->>''sqlstate''', :'own', k), 'P0002', 'without ' || k) FROM unnest(ARRAY['user', 'expires', 'signature']) AS k \gexec
SELECT encode(clinicq.hmac, 'hex') AS late FROM (SELECT sha256(o || sha256(i || convert_to(format('image 1 %s %s', :'own'::jsonb->>'user', 1000), 'UTF8'))) AS hmac FROM (
    SELECT string_agg(decode(lpad(to_hex(get_byte(rpad_key, n) # 92), 2, '0'), 'hex'), '' ORDER BY n) AS o, string_agg(decode(lpad(to_hex(get_byte(rpad_key, n) # 54), 2, '0'), 'hex'), '' ORDER BY n) AS i
    FROM (SELECT key || decode(repeat('00', 32), 'hex') AS rpad_key FROM clinicq.signing_key WHERE name = 'image') k, generate_series(0, 63) AS n) pads) AS clinicq \gset
SELECT is(tap.image('1', jsonb_build_object('user', :'own'::jsonb->>'user', 'expires', '1000', 'signature', :'late'))->>'sqlstate', 'QC410', 'one of ours that is too old');
SELECT is(tap.state(r, 'SELECT key FROM clinicq.signing_key'), '42501', r || ' reads no key') FROM unnest(ARRAY['admin', 'doctor', 'auditor', 'reporter', 'shim']) AS r;
SELECT is_empty($$ SELECT * FROM clinicq.audit_event e, clinicq.signing_key k WHERE strpos(e::text, encode(k.key, 'hex')) > 0 $$, 'nor is it in the audit log');
UPDATE clinicq.app_user SET disabled_at = now() WHERE username = 'p.doctor';
SELECT is(tap.image('1', :'own')->>'sqlstate', 'P0002', 'it ends with its user');
UPDATE clinicq.app_user SET disabled_at = NULL, roles = '{display}' WHERE username = 'p.doctor';
SELECT is(tap.image('1', :'own')->>'sqlstate', '42501', 'or the role');
UPDATE clinicq.app_user SET roles = '{doctor}' WHERE username = 'p.doctor';

-- Ranges (RFC 9110, section 14), of 48 bytes.
CREATE TABLE tap.own AS SELECT :'own'::jsonb AS q;
CREATE FUNCTION tap.range(header text, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r->>'status', r->'headers'->>'Content-Range', length(decode(CASE WHEN r->>'status' <> '416' THEN r->>'body' ELSE '' END, 'base64')))
    FROM tap.image('1', (SELECT q FROM tap.own) || jsonb_build_object('range', header) || more) AS r
$$;
SELECT tap.line(format('tap.range(%L)', h), r, h) FROM (VALUES ('bytes=0-9', '206 bytes 0-9/48 10'), ('bytes=10-', '206 bytes 10-47/48 38'), ('bytes=-5', '206 bytes 43-47/48 5'), ('bytes=-99', '206 bytes 0-47/48 48'),
    ('bytes=47-47', '206 bytes 47-47/48 1'), ('bytes=40-99999999999999999999', '206 bytes 40-47/48 8'), ('BYTES=0-0', '206 bytes 0-0/48 1'),
    ('bytes=48-', '416 bytes */48 0'), ('bytes=-0', '416 bytes */48 0'), ('bytes=99999999999999999999-', '416 bytes */48 0'),
    ('bytes=0-1,3-4', '200 48'), ('bytes=5-3', '200 48'), ('bytes=-', '200 48'), ('bytes=', '200 48'), ('items=0-1', '200 48'), ('bytes=a-b', '200 48'), ('bytes=+1-2', '200 48'), ('bytes=1', '200 48')) AS f (h, r) \gexec
SELECT is((SELECT decode(tap.image('1', q || '{"range": "bytes=7-13"}')->>'body', 'base64') FROM tap.own),
    (SELECT substring(bytes FROM 8 FOR 7) FROM tap.file WHERE name = 'png'), 'a range has those bytes');
SELECT tap.image('1', :'own')->'headers'->>'ETag' AS etag \gset
SELECT tap.line(format('tap.range(''bytes=0-9'', jsonb_build_object(''if_range'', %L))', e), r, 'If-Range ' || e) FROM (VALUES (:'etag', '206 bytes 0-9/48 10'), ('"x"', '200 48'), ('W/' || :'etag', '200 48'), ('Sat, 21 Nov 2026 06:00:00 GMT', '200 48')) AS f (e, r) \gexec
SELECT tap.line(format('tap.image(''1'', %L::jsonb || jsonb_build_object(''cursor'', %L))->>''sqlstate''', :'own', c), 'QC400', 'no cursor: ' || c) FROM unnest(ARRAY['x', '1', '48.48', '0.49', '-1.5', '5.4', '1.2.3']) AS c \gexec
SELECT is((SELECT count(*) FROM clinicq_audit.event WHERE action = 'READ' AND entity = 'prescription' AND entity_id = '1' AND actor_name = 'p.doctor'), 1::bigint, 'who has seen an image is in the audit log, counted');
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''audit_images'', ''off'')'), '', 'unless it is turned off');
SELECT tap.address('doctor', :'gps') AS another \gset
SELECT is(tap.image(:'gps', :'another')->>'status', '200', 'another image');
SELECT is((SELECT count(*) FROM clinicq_audit.event WHERE action = 'READ' AND entity = 'prescription' AND entity_id = :'gps'), 0::bigint, 'is not');
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''audit_images'', ''on'')'), '', 'on again');

-- Lists.
CREATE FUNCTION tap.ids(who text, query jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r->>'sqlstate', (SELECT concat_ws(' ', r->'body'->>'count', string_agg(p->>'id', ' ')) FROM jsonb_array_elements(r->'body'->'results') AS p))
    FROM tap.as(who, 'GET /api/prescriptions/', NULL, NULL, query) AS r
$$;
SELECT is((SELECT string_agg(id::text, ' ' ORDER BY id) FROM clinicq.prescription), '1 3 ' || :'gps', 'three prescriptions; a number that was taken in vain stays free');
SELECT tap.line(format('tap.ids(''assistant'', %L)', q), r, 'list ' || q) FROM (VALUES ('{}', format('3 %s 3 1', :'gps')), ('{"visit": "1"}', format('2 %s 1', :'gps')), ('{"visit": "2"}', '1 3'), ('{"visit": "3"}', '0'),
    ('{"visit": "99"}', '0'), ('{"visit": "x"}', '22023'), ('{"patient": "01-00-002"}', '1 3'), ('{"patient": "0100002"}', '1 3'), ('{"patient": "09-00-001"}', '0'), ('{"patient": "x"}', '0'), ('{"patient": "01-00-001", "visit": "2"}', '0'),
    ('{"page_size": "2"}', format('3 %s 3', :'gps')), ('{"page_size": "2", "page": "2"}', '3 1'), ('{"page": "9"}', 'P0002'), ('{"cursor": "3"}', '1 1')) AS f (q, r) \gexec
SELECT tap.line(format('tap.ids(%L, ''{}'')', r), '42501', r || ' sees none') FROM unnest(ARRAY['display', 'auditor', 'reporter']) AS r \gexec
SELECT results_eq($$ SELECT visit, media_type FROM clinicq.list_prescriptions('01-00-001') $$, $$ VALUES (1::bigint, 'image/jpeg'), (1, 'image/png') $$, 'in psql');
SELECT is(tap.state('doctor', $$ SELECT clinicq.list_prescriptions('09-00-001') $$), 'P0002', 'of nobody');

-- Restricted patients.
SELECT is(tap.act('admin', $$ SELECT clinicq.restrict_patient('01-00-002') $$), '', 'a patient is restricted');
SELECT tap.address('doctor', '1') AS own \gset
SELECT is(tap.ids('doctor', '{"visit": "2"}'), '0', 'the list leaves it out');
SELECT is(tap.as('doctor', 'GET /api/prescriptions/{id}/', '{3}')->>'sqlstate', 'QC423', 'it cannot be read');
SELECT is(tap.as('doctor', 'DELETE /api/prescriptions/{id}/', '{3}')->>'sqlstate', 'QC423', 'nor removed');
SELECT is(tap.made('doctor', '2', 'ab')->>'sqlstate', 'QC423', 'nor added to');
SELECT is(tap.state('doctor', $$ SELECT clinicq.list_prescriptions('01-00-002') $$), 'QC423', 'nor listed in psql');
SELECT is(tap.act('admin', $$ SELECT clinicq.unrestrict_patient('01-00-002') $$), '', 'opened');
SELECT tap.address('doctor', '3') AS doctors \gset
SELECT tap.address('other', '3') AS others \gset
SELECT is(tap.act('admin', $$ SELECT clinicq.restrict_patient('01-00-002') $$), '', 'and restricted again');
SELECT is(tap.act('admin', $$ SELECT clinicq.grant_patient_access('01-00-002', 'p.other') $$), '', 'but for one');
SELECT is(tap.image('3', :'doctors')->>'sqlstate', 'QC423', 'an address that was given before opens it no more');
SELECT is(tap.image('3', :'others')->>'status', '200', 'but for who is on the list');
SELECT is(tap.ids('other', '{"visit": "2"}'), '1 3', 'and sees it in the list');

-- Hidden.
SELECT is(tap.as('assistant', 'DELETE /api/prescriptions/{id}/', '{1}')->>'sqlstate', '42501', 'an assistant removes none');
SELECT is(tap.as('doctor', 'DELETE /api/prescriptions/{id}/', '{1}')->>'status', '204', 'a doctor does');
SELECT tap.line(format('tap.as(''doctor'', %L, ''{1}'')->>''sqlstate''', m || ' /api/prescriptions/{id}/'), 'P0002', m || ': it is gone') FROM unnest(ARRAY['GET', 'DELETE']) AS m \gexec
SELECT is(tap.image('1', :'own')->>'sqlstate', 'P0002', 'so is the image');
SELECT is((SELECT image_id IS NOT NULL AND removed_at IS NOT NULL FROM clinicq.prescription WHERE id = 1), true, 'nothing is destroyed');
SELECT is(tap.act('doctor', 'SELECT clinicq.remove_prescription(' || i || ')'), r, 'remove ' || i) FROM (VALUES ('1', 'P0002: no prescription 1'), ('NULL', '22004: prescription must not be null'), (:'gps', '')) AS f (i, r);
DO $$
DECLARE r jsonb;
BEGIN
    CALL tap.give('doctor', 'png', 100, r);
END
$$;
SELECT is(tap.made('doctor', '1', (SELECT encode(sha256(bytes), 'hex') FROM tap.file WHERE name = 'png'))->>'status', '201', 'sent again it is a new one');
SELECT results_eq($$ SELECT entity, action, count(*) FROM clinicq.audit_event WHERE entity IN ('image', 'prescription') AND action <> 'READ' GROUP BY 1, 2 ORDER BY 1, 2 $$,
    $$ VALUES ('image', 'INSERT', 2::bigint), ('prescription', 'INSERT', 4), ('prescription', 'UPDATE', 2) $$, 'all of it is in the audit log');

SELECT is((SELECT string_agg(DISTINCT action || ' ' || entity_id, ', ' ORDER BY action || ' ' || entity_id) FROM clinicq_audit.patient_history('01-00-002') WHERE entity = 'prescription'), 'INSERT 3, READ 3', 'and in the history of the patient');

-- Erased: the images too, but for what another patient's visit has.
SELECT is(tap.act('assistant', 'SELECT clinicq.cancel_visit(1)'), '(1,1,CANCELLED)', 'no visit is open');
SELECT is(tap.state('admin', $$ SELECT clinicq.erase_patient('01-00-001', 'asked to') $$), '00000', 'erased');
SELECT is((SELECT count(*) FROM clinicq.prescription WHERE visit_id = 1 AND (image_id IS NOT NULL OR original_sha256 IS NOT NULL OR removed_at IS NULL)), 0::bigint, 'nothing leads to the images');
SELECT is((SELECT count(*) FROM clinicq.image WHERE media_type = 'image/jpeg'), 0::bigint, 'the image of this patient alone is gone');
SELECT is((SELECT count(*) FROM clinicq.image_chunk), 1::bigint, 'and its bytes');
SELECT is(tap.image('3', :'others')->>'status', '200', 'the other patient''s is there');

SELECT * FROM finish();
