CREATE FUNCTION clinicq.setting(name text) RETURNS text
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_setting';
COMMENT ON FUNCTION clinicq.setting(text) IS
    'Value of a setting. Errors: 22023 unknown name. Who: any role.';

CREATE FUNCTION clinicq.set_setting(name text, value text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_set_setting';
COMMENT ON FUNCTION clinicq.set_setting(text, text) IS
    'Changes a setting, for everybody from the next transaction on. Errors: 22023 unknown name or value not permitted. Who: admin.';

CREATE FUNCTION clinicq.settings(OUT name text, OUT default_value text, OUT description text) RETURNS SETOF record
LANGUAGE C IMMUTABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_settings';
COMMENT ON FUNCTION clinicq.settings() IS 'Every setting with its default and meaning. Who: everybody.';
