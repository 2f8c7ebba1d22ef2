CREATE FUNCTION clinicq.create_user(username text, roles text[] DEFAULT '{}', password text DEFAULT NULL) RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_create_user';
COMMENT ON FUNCTION clinicq.create_user(text, text[], text) IS
    'Creates a user who may log in over HTTP. roles: any of admin, doctor, assistant, display, auditor, reporter. '
    'password: 12 to 128 characters; NULL generates one and returns it, once. '
    'Errors: 22023 names every bad field; 23505 name in use. Who: admin.';

CREATE FUNCTION clinicq.set_password(username text, password text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_set_password';
COMMENT ON FUNCTION clinicq.set_password(text, text) IS
    'Gives a user a new password (12 to 128 characters) and ends the user''s sessions. Errors: 22023; P0002 no such user. Who: admin.';

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

CREATE FUNCTION clinicq.disable_user(username text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_disable_user';
COMMENT ON FUNCTION clinicq.disable_user(text) IS
    'Shuts a user out and ends the user''s sessions. Errors: P0002 no such user. Who: admin.';
