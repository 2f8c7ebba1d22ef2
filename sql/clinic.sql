CREATE FUNCTION clinicq.service_day(clinic bigint DEFAULT NULL, at timestamptz DEFAULT NULL) RETURNS date
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_service_day';
COMMENT ON FUNCTION clinicq.service_day(bigint, timestamptz) IS
    'The service day of a clinic (NULL: the first one) at an instant (NULL: now), by its time zone and the hour at which its day begins; '
    'the session''s time zone does not matter. Errors: P0002 no such clinic. Who: everybody.';

CREATE FUNCTION clinicq.create_room(name text, clinic bigint DEFAULT NULL) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_create_room';
COMMENT ON FUNCTION clinicq.create_room(text, bigint) IS
    'Adds a room to a clinic (NULL: the first one) and returns its id. Errors: 22023 name; 23505 name in use; P0002 no such clinic. Who: admin.';
