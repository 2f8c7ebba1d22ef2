CREATE FUNCTION clinicq.estimated_wait(queue bigint, OUT visit_id bigint, OUT token_number integer, OUT place integer, OUT from_minutes integer, OUT to_minutes integer, OUT last_called text, OUT reason text) RETURNS SETOF record
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_estimated_wait';
COMMENT ON FUNCTION clinicq.estimated_wait(bigint) IS
    'For each who waits in a queue, in the order of calls: a range of minutes until the call, as nine of ten days would go that are drawn from measured services of this queue '
    '(today, the same weekday and hour; other days where these are few), with the rooms that call now. NULL and a reason where too little is known. last_called: the token called last. '
    'Errors: P0002 no such open queue. Who: admin, doctor, assistant, display.';

CREATE FUNCTION clinicq.board(queue bigint DEFAULT NULL, OUT token text, OUT status text, OUT room text, OUT queue_name text, OUT name text) RETURNS SETOF record
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_board';
COMMENT ON FUNCTION clinicq.board(bigint) IS
    'What a screen shows of a queue (NULL: all of the first clinic) today: who is called or in a room, the latest first, then who waits in the order of calls. '
    'A display sees names as the setting display_names says. Who: admin, doctor, assistant, display.';
