CREATE FUNCTION clinicq.create_queue(name text, token_prefix text DEFAULT '', clinic bigint DEFAULT NULL) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_create_queue';
COMMENT ON FUNCTION clinicq.create_queue(text, text, bigint) IS
    'Creates a queue in a clinic (NULL: the first one) and returns its id. name: 1 to 100 characters; token_prefix: up to four capitals or digits. '
    'Errors: 22023 names every bad field; 23505 name in use; P0002 no such clinic. Who: admin.';

CREATE FUNCTION clinicq.rename_queue(queue bigint, name text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_rename_queue';
COMMENT ON FUNCTION clinicq.rename_queue(bigint, text) IS
    'Gives a queue another name. Errors: 22023; 23505 name in use; P0002 no such open queue. Who: admin.';

CREATE FUNCTION clinicq.close_queue(queue bigint) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_close_queue';
COMMENT ON FUNCTION clinicq.close_queue(bigint) IS
    'Closes a queue for good; its visits stay. Errors: P0002 no such open queue; QC409 while a visit in it is open. Who: admin.';
