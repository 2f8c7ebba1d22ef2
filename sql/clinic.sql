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

CREATE FUNCTION clinicq.rename_room(room bigint, name text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_rename_room';
COMMENT ON FUNCTION clinicq.rename_room(bigint, text) IS
    'Gives a room another name. Errors: 22023; 23505 name in use; P0002 no such open room. Who: admin.';

CREATE FUNCTION clinicq.close_room(room bigint) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_close_room';
COMMENT ON FUNCTION clinicq.close_room(bigint) IS
    'Closes a room for good. Errors: P0002 no such open room; QC409 names the token that is in it. Who: admin.';

CREATE FUNCTION clinicq.sign_in_room(room bigint) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_sign_in_room';
COMMENT ON FUNCTION clinicq.sign_in_room(bigint) IS
    'Signs the caller into a room until the service day ends, and out of any other: call_next() without a room calls there. Errors: P0002 no such open room; QC409 names who is signed in. Who: admin, doctor.';

CREATE FUNCTION clinicq.sign_out_room(room bigint) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_sign_out_room';
COMMENT ON FUNCTION clinicq.sign_out_room(bigint) IS
    'Signs out of a room; an administrator also others. Errors: P0002 no such open room; QC409 somebody else is signed in. Who: admin, doctor.';
