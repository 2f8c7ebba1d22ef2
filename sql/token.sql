CREATE FUNCTION clinicq.issue_token(queue bigint, service_day date) RETURNS integer
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_issue_token';
COMMENT ON FUNCTION clinicq.issue_token(bigint, date) IS
    'The next token of a queue and day, under the lock of its counter row until the transaction ends. '
    'Works only within open_visit() and transfer_visit(), so that no number is given without a visit. Errors: 55000 when called directly. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.last_token(queue bigint, service_day date DEFAULT NULL) RETURNS integer
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_last_token';
COMMENT ON FUNCTION clinicq.last_token(bigint, date) IS
    'The last token given in a queue on a day (NULL: today); 0 for none yet. Errors: P0002 no such queue. Who: any role.';
