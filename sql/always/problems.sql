DELETE FROM clinicq.problem WHERE shipped;
INSERT INTO clinicq.problem (sqlstate, status, type, title, reveal, shipped) VALUES
    ('22023', 400, 'invalid-fields', 'A field is missing or not valid', true, true),
    ('22004', 400, 'invalid-fields', 'A field is missing or not valid', true, true),
    ('QC400', 400, 'bad-request', 'The request cannot be understood', true, true),
    ('22P02', 400, 'malformed-body', 'The body is not valid JSON', false, true),
    ('22P05', 400, 'malformed-body', 'The body holds a character that cannot be stored', false, true),
    ('22003', 400, 'malformed-body', 'A number in the body is too large', false, true),
    ('22021', 400, 'malformed-body', 'The body is not valid UTF-8', false, true),
    ('54001', 400, 'malformed-body', 'The body is nested too deeply', false, true),
    ('54000', 400, 'malformed-body', 'The body is too large', false, true),
    ('28000', 401, 'unauthenticated', 'Authentication is needed', true, true),
    ('42501', 403, 'forbidden', 'Not permitted', true, true),
    ('QC403', 403, 'first-things-first', 'Something has to be done before anything else', true, true),
    ('QC423', 403, 'restricted', 'The record is restricted', true, true),
    ('P0002', 404, 'not-found', 'Not found', true, true),
    ('QC405', 405, 'method-not-allowed', 'Method not allowed', true, true),
    ('QC409', 409, 'conflict', 'Not possible in the present state', true, true),
    ('23505', 409, 'conflict', 'It exists already', false, true),
    ('23503', 409, 'conflict', 'It is referred to elsewhere', false, true),
    ('23514', 400, 'invalid-fields', 'A value is not permitted', false, true),
    ('QC415', 415, 'unsupported-media-type', 'This content type is not accepted here', true, true),
    ('QC429', 429, 'too-many-requests', 'Too many requests', true, true),
    ('53400', 503, 'numbers-used-up', 'No number is left to give', true, true),
    ('55000', 503, 'not-ready', 'The database is being set up', false, true),
    ('55P03', 503, 'busy', 'The record is in use by another request; try again', false, true),
    ('57014', 503, 'timeout', 'The request took too long', false, true),
    ('40001', 503, 'busy', 'Another request changed the same record; try again', false, true),
    ('40P01', 503, 'busy', 'Another request changed the same record; try again', false, true),
    ('53300', 503, 'busy', 'The database has no connection left; try again', false, true),
    ('53100', 503, 'disk-full', 'The database has no space left', false, true),
    ('57P01', 503, 'restarting', 'The database is restarting; try again', false, true),
    ('57P03', 503, 'restarting', 'The database is starting; try again', false, true)
ON CONFLICT (sqlstate) DO NOTHING;

-- What somebody was not allowed to do, or tried in the wrong state.
UPDATE clinicq.problem SET audited = true WHERE shipped AND sqlstate IN ('42501', 'QC403', 'QC409', 'QC423');
