-- What every file of this suite uses: pgTAP, one login role for each ClinicQ role, and the helpers
-- of schema tap. Files run as superuser, but act as these roles: a refusal is never asked of a superuser.
SET client_min_messages = warning;
CREATE SCHEMA tap;
GRANT USAGE ON SCHEMA tap TO PUBLIC;
CREATE EXTENSION pgtap SCHEMA tap;

CREATE ROLE test_admin LOGIN IN ROLE clinicq_admin;
CREATE ROLE test_doctor LOGIN IN ROLE clinicq_doctor;
CREATE ROLE test_assistant LOGIN IN ROLE clinicq_assistant;
CREATE ROLE test_display LOGIN IN ROLE clinicq_display;
CREATE ROLE test_auditor LOGIN IN ROLE clinicq_auditor;
CREATE ROLE test_reporter LOGIN IN ROLE clinicq_reporter;
CREATE ROLE test_nobody LOGIN;

CREATE FUNCTION tap.role_of(who text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN who IN ('shim', 'deliver', 'dba', 'owner') THEN 'clinicq_' ELSE 'test_' END || who
$$;

-- Runs a statement with a role as session_user and returns its first value, or "SQLSTATE: message".
CREATE FUNCTION tap.act(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    me text := session_user;
    result text;
BEGIN
    BEGIN
        PERFORM set_config('session_authorization', tap.role_of(who), true);
        EXECUTE statement INTO result;
        PERFORM set_config('session_authorization', me, true);
    EXCEPTION WHEN OTHERS THEN
        RETURN SQLSTATE || ': ' || SQLERRM;
    END;
    RETURN result;
END
$$;

-- The SQLSTATE of the same, 00000 where it is done.
CREATE FUNCTION tap.state(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    me text := session_user;
BEGIN
    BEGIN
        PERFORM set_config('session_authorization', tap.role_of(who), true);
        EXECUTE statement;
        PERFORM set_config('session_authorization', me, true);
    EXCEPTION WHEN OTHERS THEN
        RETURN SQLSTATE;
    END;
    RETURN '00000';
END
$$;

-- One HTTP request as the shim makes it: {"status", "body", "headers", "actor"} or {"sqlstate",
-- "message", "detail"}. A transaction serves one, so each stands in a statement of its own.
CREATE FUNCTION tap.http(route text, token text, path text[] DEFAULT NULL, body text DEFAULT NULL,
    query jsonb DEFAULT NULL, fault text DEFAULT NULL, request_id text DEFAULT NULL,
    client inet DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    me text := session_user;
    result jsonb;
    detail text;
BEGIN
    BEGIN
        PERFORM set_config('session_authorization', 'clinicq_shim', true);
        SELECT jsonb_build_object('status', c.status, 'body', c.reply, 'headers', c.headers, 'actor', c.actor)
            INTO STRICT result
            FROM clinicq_api.call(route, token, path, query, body, fault, request_id, client, 'http://clinic') AS c;
        PERFORM set_config('session_authorization', me, true);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        RETURN jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM, 'detail', detail);
    END;
    RETURN result;
END
$$;

-- A user with these roles, and the token of a session of that user.
CREATE FUNCTION tap.user(username text, roles text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    token text := encode(sha256(convert_to(username, 'UTF8')), 'hex');
    id bigint;
BEGIN
    INSERT INTO clinicq.app_user (username, password_hash, roles) VALUES ($1, 'none', $2)
        RETURNING app_user.id INTO id;
    INSERT INTO clinicq.session (token_hash, user_id, expires_at)
        VALUES (sha256(convert_to(token, 'UTF8')), id, now() + interval '1 hour');
    RETURN token;
END
$$;
