CREATE FUNCTION clinicq.log_in(username text, password text, code text DEFAULT NULL,
    OUT token text, OUT expires_at timestamptz, OUT name text, OUT roles text[])
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_log_in';
COMMENT ON FUNCTION clinicq.log_in(text, text, text) IS
    'Opens a session and returns its token (64 hexadecimal digits, 256 random bits), end, user name and roles; all NULL when name or password is wrong, the user is disabled, or too many tries were wrong. '
    'code: of the second factor, where one is in force. '
    'The token slides with use; see the setting session_minutes. Who: everybody.';

CREATE FUNCTION clinicq.log_out(token text) RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_log_out';
COMMENT ON FUNCTION clinicq.log_out(text) IS 'Ends the session of this token; false where there is none. Who: everybody who holds the token.';
