CREATE TABLE clinicq.route (
    method text NOT NULL CHECK (method IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')),
    path text NOT NULL CHECK (path ~ '^/([a-z0-9_.-]+/|\{[a-z_]+\}/)*([a-z0-9_.-]+)?$'),
    function text NOT NULL CHECK (function ~ '^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$'),
    class text NOT NULL CHECK (class IN ('read', 'write', 'slow')),
    body text NOT NULL DEFAULT 'none' CHECK (body IN ('none', 'fields')),
    body_limit integer NOT NULL DEFAULT 65536 CHECK (body_limit BETWEEN 0 AND 1073741824),
    lane text,
    who text[] NOT NULL,
    summary text NOT NULL,
    shipped boolean NOT NULL DEFAULT false,
    PRIMARY KEY (method, path)
);
COMMENT ON TABLE clinicq.route IS 'The one list of HTTP endpoints; the shim serves what stands here. A new endpoint is a function and a row.';
COMMENT ON COLUMN clinicq.route.method IS 'GET (serves HEAD too), POST, PUT, PATCH or DELETE.';
COMMENT ON COLUMN clinicq.route.path IS 'Path template; {name} stands for one segment.';
COMMENT ON COLUMN clinicq.route.function IS 'The function, schema-qualified: (path text[], query jsonb, body text) returns clinicq_api.reply.';
COMMENT ON COLUMN clinicq.route.class IS 'Which connections serve it: read, write, or slow (log-in, passwords, searches).';
COMMENT ON COLUMN clinicq.route.body IS 'none: a body is dropped unread; fields: a JSON object or a form.';
COMMENT ON COLUMN clinicq.route.body_limit IS 'Bytes of body at the most.';
COMMENT ON COLUMN clinicq.route.lane IS 'Body field whose equal values wait for each other in the database; NULL for none.';
COMMENT ON COLUMN clinicq.route.who IS 'Roles that may call it, for documentation; {anyone} needs no token, {any} any valid one. The function itself checks.';
COMMENT ON COLUMN clinicq.route.summary IS 'What it is for, in a sentence.';
COMMENT ON COLUMN clinicq.route.shipped IS 'True for ClinicQ''s own, which migrate() makes again; false for what a DBA added.';

CREATE TABLE clinicq.problem (
    sqlstate text PRIMARY KEY CHECK (sqlstate ~ '^[0-9A-Z]{5}$'),
    status integer NOT NULL CHECK (status BETWEEN 400 AND 599),
    type text NOT NULL CHECK (type ~ '^[a-z-]+$'),
    title text NOT NULL,
    reveal boolean NOT NULL,
    shipped boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE clinicq.problem IS 'The one list of errors: what an SQLSTATE becomes over HTTP. What is not listed is a 500 without words.';
COMMENT ON COLUMN clinicq.problem.sqlstate IS 'SQLSTATE that a function raised.';
COMMENT ON COLUMN clinicq.problem.status IS 'HTTP status.';
COMMENT ON COLUMN clinicq.problem.type IS 'Last part of the RFC 9457 problem type.';
COMMENT ON COLUMN clinicq.problem.title IS 'RFC 9457 title.';
COMMENT ON COLUMN clinicq.problem.reveal IS 'Whether the message may reach the caller, where it has a hint or an SQLSTATE in class QC; otherwise the title stands in for it.';
COMMENT ON COLUMN clinicq.problem.shipped IS 'True for ClinicQ''s own, which migrate() makes again; false for what a DBA added.';
