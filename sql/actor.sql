CREATE FUNCTION clinicq.current_actor(OUT door text, OUT user_id bigint, OUT name text, OUT roles text[])
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_current_actor';
COMMENT ON FUNCTION clinicq.current_actor() IS
    'Who asks: door (http, psql or worker), user id (NULL in psql), user or role name, roles in force. Who: everybody.';

CREATE FUNCTION clinicq.require_role(VARIADIC roles text[]) RETURNS void
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_require_role';
COMMENT ON FUNCTION clinicq.require_role(text[]) IS
    'Returns if the actor has one of these roles (admin, doctor, assistant, display, auditor, reporter). '
    'Errors: 42501 names the roles that would do; 22023 unknown role; 55000 before migrate(). Who: everybody.';

CREATE FUNCTION clinicq.forget_caches() RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_forget_caches';
COMMENT ON FUNCTION clinicq.forget_caches() IS
    'Makes every backend drop what it keeps of settings, clinics and routes when this transaction commits. Who: the owner.';

CREATE FUNCTION clinicq.lock_migration() RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_lock_migration';
COMMENT ON FUNCTION clinicq.lock_migration() IS
    'Waits until no other transaction is in clinicq.migrate(), and keeps others out of it until this one ends. Errors: none. Who: the owner.';

CREATE FUNCTION clinicq.forget_trigger() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_forget_trigger';
COMMENT ON FUNCTION clinicq.forget_trigger() IS 'Trigger: clinicq.forget_caches() after a change of settings, clinics or routes.';
