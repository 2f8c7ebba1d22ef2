CREATE FUNCTION clinicq.create_user(username text, roles text[] DEFAULT '{}', password text DEFAULT NULL,
    demo boolean DEFAULT false) RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_create_user';
COMMENT ON FUNCTION clinicq.create_user(text, text[], text, boolean) IS
    'Creates a user who may log in over HTTP. roles: any of admin, doctor, assistant, display, auditor, reporter. '
    'password: 12 to 128 characters, not easily guessed; NULL generates one for one time, which has to be changed first, and returns it. '
    'demo: marks one whose password others know; the shim refuses production while such a user is not shut out. '
    'Errors: 22023 names every bad field; 23505 name in use. Who: admin.';

CREATE FUNCTION clinicq.set_password(username text, password text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_set_password';
COMMENT ON FUNCTION clinicq.set_password(text, text) IS
    'Gives a user a new password (12 to 128 characters, not easily guessed) and ends the user''s sessions. Errors: 22023; P0002 no such user. Who: admin.';

CREATE FUNCTION clinicq.set_email(username text, email text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_set_email';
COMMENT ON FUNCTION clinicq.set_email(text, text) IS
    'Gives a user an e-mail address (NULL: none), for links to set a new password and, of administrators, daily summaries. Links that were sent before are of no use any more. '
    'Errors: 22023 no address; 23505 another user has it; P0002 no such user. Who: admin.';

CREATE FUNCTION clinicq.grant_role(username text, role text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_grant_role';
COMMENT ON FUNCTION clinicq.grant_role(text, text) IS
    'Gives a user a role and ends the user''s sessions. Errors: 22023 unknown role; P0002 no such user. Who: admin.';

CREATE FUNCTION clinicq.revoke_role(username text, role text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_revoke_role';
COMMENT ON FUNCTION clinicq.revoke_role(text, text) IS
    'Takes a role from a user and ends the user''s sessions. Errors: 22023 unknown role; P0002 no such user. Who: admin.';

CREATE FUNCTION clinicq.end_sessions(username text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_end_sessions';
COMMENT ON FUNCTION clinicq.end_sessions(text) IS
    'Logs a user out everywhere, at once. Errors: P0002 no such user. Who: admin.';

CREATE FUNCTION clinicq.unlock_user(username text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_unlock_user';
COMMENT ON FUNCTION clinicq.unlock_user(text) IS
    'Lets a name try to log in again at once, from everywhere, after wrong log-ins. Who: admin.';

CREATE FUNCTION clinicq.reset_totp(username text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_reset_totp';
COMMENT ON FUNCTION clinicq.reset_totp(text) IS
    'Takes away the second factor of a user who has lost it, and ends the user''s sessions. Errors: P0002 no such user. Who: admin.';

CREATE FUNCTION clinicq.disable_user(username text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_disable_user';
COMMENT ON FUNCTION clinicq.disable_user(text) IS
    'Shuts a user out and ends the user''s sessions. Errors: P0002 no such user. Who: admin.';

CREATE FUNCTION clinicq.disable_demo_users() RETURNS text[]
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_disable_demo_users';
COMMENT ON FUNCTION clinicq.disable_demo_users() IS
    'Shuts out every user who was created with demo => true, ends their sessions, and returns their names. Who: admin.';
