CREATE FUNCTION clinicq.open_visit(patient text, queue bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_open_visit';
COMMENT ON FUNCTION clinicq.open_visit(text, bigint) IS
    'Opens a visit of a patient (registration number) in a queue today and gives it the next token. '
    'Where the patient has an open visit there already, that one is returned. '
    'Errors: P0002 no such patient or open queue. Who: admin, assistant; doctor where the setting doctors_open_visits is on.';

CREATE FUNCTION clinicq.start_visit(visit bigint, room bigint DEFAULT NULL, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_start_visit';
COMMENT ON FUNCTION clinicq.start_visit(bigint, bigint) IS
    'Calls the patient: WAITING to START; room: the room to come to, NULL for none. '
    'Errors: P0002 no such visit or room; QC409 names the present status or the room that is taken. Who: admin, doctor.';

CREATE FUNCTION clinicq.enter_room(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_enter_room';
COMMENT ON FUNCTION clinicq.enter_room(bigint) IS
    'The patient is in the room: START to IN_ROOM. '
    'Errors: P0002 no such visit; QC409 names the present status. Who: admin, doctor.';

CREATE FUNCTION clinicq.return_to_waiting(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_return_to_waiting';
COMMENT ON FUNCTION clinicq.return_to_waiting(bigint) IS
    'Back to the queue with the same token: START or IN_ROOM to WAITING. '
    'Errors: P0002 no such visit; QC409 names the present status. Who: admin, doctor.';

CREATE FUNCTION clinicq.finish_visit(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_finish_visit';
COMMENT ON FUNCTION clinicq.finish_visit(bigint) IS
    'The patient has been seen: IN_ROOM to DONE. '
    'Errors: P0002 no such visit; QC409 names the present status. Who: admin, doctor.';

CREATE FUNCTION clinicq.cancel_visit(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_cancel_visit';
COMMENT ON FUNCTION clinicq.cancel_visit(bigint) IS
    'Cancels a visit: WAITING or HELD to CANCELLED. '
    'Errors: P0002 no such visit; QC409 names the present status. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.mark_no_show(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_mark_no_show';
COMMENT ON FUNCTION clinicq.mark_no_show(bigint) IS
    'The patient was called and did not come: START to NO_SHOW. '
    'Errors: P0002 no such visit; QC409 names the present status. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.recall_visit(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_recall_visit';
COMMENT ON FUNCTION clinicq.recall_visit(bigint) IS
    'Back to the queue after a no-show: NO_SHOW to WAITING; refused while the patient has another open visit there, '
    'when the patient was removed, the queue closed, or the service day is over. '
    'Errors: P0002 no such visit; QC409 names the present status, or what is in the way. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.transfer_visit(visit bigint, queue bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_transfer_visit';
COMMENT ON FUNCTION clinicq.transfer_visit(bigint, bigint) IS
    'Moves a patient to another queue of today: the visit (WAITING, START or HELD) ends as TRANSFERRED and a new one with a token of the other queue goes on; each names the other. '
    'Returns the new visit. Errors: P0002 no such visit or open queue; QC409 names the present status. Who: admin, doctor, assistant.';
