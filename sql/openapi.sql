CREATE FUNCTION clinicq_api.openapi(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $function$
    WITH condition AS (
        SELECT r.method, r.path, r.method <> 'GET' AND r.who <> '{anyone}' AS keyed, r.method = 'GET' AND NOT e.streams AS reads, e.streams,
            r.method <> 'GET' AND r.path ~ '^/api/(patients/{registration_number}|queues/{id}|visits/{id})/' AS matched
        FROM clinicq.route r, LATERAL (SELECT r.path LIKE '/api/%/events') AS e (streams)
    ),
    operation AS (
        SELECT r.path, lower(r.method) AS method, jsonb_strip_nulls(jsonb_build_object(
            'summary', r.summary,
            'description', coalesce(obj_description(to_regprocedure(r.function || '(text[],jsonb,text)'), 'pg_proc'), r.summary)
                || ' Roles: ' || array_to_string(r.who, ', ') || '.',
            'operationId', split_part(r.function, '.', 2),
            'tags', jsonb_build_array(split_part(r.path, '/', 3)),
            'security', CASE WHEN r.who = '{anyone}' THEN '[]' ELSE '[{"token": []}]' END::jsonb,
            'parameters', (
                SELECT jsonb_agg(p.parameter) FROM (
                    SELECT jsonb_build_object('name', m[1], 'in', 'path', 'required', true,
                        'schema', CASE WHEN m[1] = 'id' THEN '{"type": "integer"}' WHEN r.path = '/api/reports/{name}/'
                            THEN jsonb_build_object('type', 'string', 'enum', (SELECT jsonb_agg(n.name) FROM clinicq_report.reports() n))
                            ELSE '{"type": "string"}' END)
                    FROM regexp_matches(r.path, '\{([a-z_]+)\}', 'g') AS m
                    UNION ALL
                    SELECT jsonb_build_object('name', q.name, 'in', 'query', 'schema', q.schema::jsonb, 'description', q.description)
                    FROM (VALUES
                        ('from', '{"type": "string", "format": "date"}', 'First day, or a day of the first month.'),
                        ('to', '{"type": "string", "format": "date"}', 'Last day; today where it is left out.'),
                        ('queue', '{"type": "integer"}', 'One queue.'),
                        ('at', '{"type": "string", "format": "date-time"}', 'The moment of the board.'),
                        ('format', '{"type": "string", "enum": ["json", "csv"]}', 'json where it is left out.'),
                        ('safe', '{"type": "string", "enum": ["on", "off"]}', 'Whether formulas in CSV are made harmless; on where it is left out.')
                    ) AS q (name, schema, description) WHERE r.path = '/api/reports/{name}/'
                    UNION ALL
                    SELECT jsonb_build_object('name', q.name, 'in', 'query', 'required', q.name = 'kind', 'schema', q.schema::jsonb, 'description', q.description)
                    FROM (VALUES
                        ('snapshot', 'kind', '{"type": "string", "enum": ["patients", "visits", "queues"]}', 'What to take.'),
                        ('snapshot', 'from', '{"type": "string", "format": "date"}', 'First day.'),
                        ('snapshot', 'to', '{"type": "string", "format": "date"}', 'Last day.'),
                        ('export', 'from', '{"type": "string"}', 'A time (RFC 3339) or a day of UTC: from then on.'),
                        ('export', 'to', '{"type": "string"}', 'A time or a day: before then.'),
                        ('snapshot export', 'format', '{"type": "string", "enum": ["jsonl", "csv"]}', 'jsonl where it is left out.'),
                        ('snapshot export', 'safe', '{"type": "string", "enum": ["on", "off"]}', 'Whether formulas in CSV are made harmless; on where it is left out.')
                    ) AS q (routes, name, schema, description)
                    WHERE r.path LIKE '/api/audit/_%/' AND split_part(r.path, '/', 4) = ANY (string_to_array(q.routes, ' '))
                    UNION ALL
                    SELECT '{"name": "last_event_id", "in": "query", "schema": {"type": "integer"}, "description": "As Last-Event-ID, which goes first."}'::jsonb WHERE c.streams
                    UNION ALL
                    SELECT '{"name": "room", "in": "query", "schema": {"type": "integer"}, "description": "The room to come to."}'
                    WHERE r.path = '/api/visits/{id}/start/'
                    UNION ALL
                    SELECT jsonb_build_object('$ref', '#/components/parameters/' || h.name)
                    FROM (VALUES ('Idempotency-Key', c.keyed), ('If-Match', c.matched), ('If-None-Match', c.reads), ('Last-Event-ID', c.streams)) AS h (name, taken) WHERE h.taken
                ) AS p (parameter)),
            'requestBody', CASE r.body WHEN 'fields' THEN '{"content": {
                "application/json": {"schema": {"type": "object"}},
                "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
                "multipart/form-data": {"schema": {"type": "object"}}}}'::jsonb
                WHEN 'file' THEN '{"content": {"multipart/form-data": {"schema": {"type": "object", "required": ["visit", "image"],
                    "properties": {"visit": {"type": "integer"}, "image": {"type": "string", "contentMediaType": "application/octet-stream"}}}}}}'::jsonb END,
            'responses', jsonb_build_object('2XX', jsonb_build_object('description', 'Done.', 'content', CASE WHEN c.streams THEN '{"text/event-stream": {"schema": {"type": "string"}}}' WHEN r.ranges THEN '{"image/*": {}, "application/pdf": {}}' ELSE '{"application/json": {}}' END::jsonb,
                    'headers', (SELECT jsonb_object_agg(h.name, jsonb_build_object('$ref', '#/components/headers/' || h.name))
                        FROM (VALUES ('ETag', c.reads OR c.matched), ('Idempotency-Replayed', c.keyed)) AS h (name, sent) WHERE h.sent)),
                'default', '{"$ref": "#/components/responses/problem"}'::jsonb)
                || (SELECT coalesce(jsonb_object_agg(s.status, jsonb_build_object('$ref', '#/components/responses/' || s.name)), '{}')
                    FROM (VALUES ('304', 'not-modified', c.reads), ('409', 'conflict', c.keyed), ('412', 'precondition-failed', c.matched), ('422', 'key-reused', c.keyed))
                        AS s (status, name, sent) WHERE s.sent)
        )) AS description
        FROM clinicq.route r JOIN condition c ON c.method = r.method AND c.path = r.path
    ),
    item AS (
        SELECT o.path, jsonb_object_agg(o.method, o.description) AS methods FROM operation o GROUP BY o.path
    )
    SELECT 200, json_build_object(
        'openapi', '3.1.0',
        'info', json_build_object('title', 'ClinicQ', 'version', e.extversion,
            'summary', 'The backend of an outpatient clinic.'),
        'paths', (SELECT jsonb_object_agg(i.path, i.methods) FROM item i),
        'components', json_build_object(
            'securitySchemes', '{"token": {"type": "http", "scheme": "bearer",
                "description": "The token from log-in, as Bearer or as Token."}}'::json,
            'parameters', '{
                "Idempotency-Key": {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 512},
                    "description": "1 to 255 visible ASCII characters, as a string of RFC 8941 or bare, new for each new request. A repeat with it is not done again and gets the first reply."},
                "If-Match": {"name": "If-Match", "in": "header", "schema": {"type": "string"},
                    "description": "ETags of GET, or *: the change is made only if one of them is that of now."},
                "If-None-Match": {"name": "If-None-Match", "in": "header", "schema": {"type": "string"},
                    "description": "ETags that are at hand: 304 where one of them is that of now."},
                "Last-Event-ID": {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"},
                    "description": "The id of the last event that was received: the stream goes on behind it."}}'::json,
            'headers', '{
                "ETag": {"schema": {"type": "string"}, "description": "Strong; changes with every byte of the body."},
                "Idempotency-Replayed": {"schema": {"type": "string", "enum": ["true"]}, "description": "The reply is that of an earlier request with this Idempotency-Key."}}'::json,
            'responses', (
                SELECT json_object_agg(s.name, json_build_object('description', s.description, 'content', '{"application/json": {"schema": {"type": "object"}},
                    "application/problem+json": {"schema": {"type": "object", "required": ["type", "title", "status"]}}}'::json))
                FROM (VALUES ('conflict', 'Not possible in the present state; or, with an Idempotency-Key: in-progress, the same request is being done, or done-before, it was done and its reply is not kept.'),
                    ('precondition-failed', 'It has changed since it was read; nothing was done.'),
                    ('key-reused', 'The Idempotency-Key was used for another request.')) AS s (name, description)
            )::jsonb || '{"not-modified": {"description": "As it was, without a body.", "headers": {"ETag": {"$ref": "#/components/headers/ETag"}}}}' || jsonb_build_object('problem', json_build_object(
                'description', 'A problem: ' || (
                    SELECT string_agg(DISTINCT p.status || ' ' || p.type, ', ' ORDER BY p.status || ' ' || p.type)
                    FROM clinicq.problem p),
                'content', '{"application/json": {"schema": {"type": "object"}},
                    "application/problem+json": {"schema": {"type": "object", "required": ["type", "title", "status"]}}}'::json
            )))
        ), NULL::json
    FROM pg_extension e WHERE e.extname = 'clinicq'
$function$;
COMMENT ON FUNCTION clinicq_api.openapi(text[], jsonb, text) IS
    'This description of the HTTP interface (OpenAPI 3.1), made of the routes and the comments of their functions. Who: everybody.';
