CREATE FUNCTION clinicq.open_visit(patient text, queue bigint, priority text DEFAULT NULL, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_open_visit';
COMMENT ON FUNCTION clinicq.open_visit(text, bigint, text) IS
    'Opens a visit of a patient (registration number) in a queue today and gives it the next token. priority: name of a class of clinicq.priority_class, NULL for the ordinary patient. '
    'Where the patient has an open visit there already, that one is returned. '
    'Errors: 22023 no such priority; P0002 no such patient or open queue. Who: admin, assistant; doctor where the setting doctors_open_visits is on.';

CREATE FUNCTION clinicq.change_priority(visit bigint, priority text, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_change_priority';
COMMENT ON FUNCTION clinicq.change_priority(bigint, text) IS
    'Gives an open visit another priority: the name of a class of clinicq.priority_class. Token and place within the class stay. '
    'Errors: 22023 no such priority; P0002 no such visit; QC409 the visit is not open. Who: admin, assistant; doctor where the setting doctors_open_visits is on.';

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
    'The patient was called and did not come: START to NO_SHOW. The setting no_show_calls says how many calls that takes. '
    'Errors: P0002 no such visit; QC409 names the present status, or how often the patient was called. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.recall_visit(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_recall_visit';
COMMENT ON FUNCTION clinicq.recall_visit(bigint) IS
    'Back to the queue after a no-show: NO_SHOW to WAITING; refused while the patient has another open visit there, '
    'when the patient was removed, the queue closed, or the service day is over, '
    'and for as long after the no-show as the setting no_show_cool_down_minutes says. The setting return_place says where the patient stands then. '
    'Errors: P0002 no such visit; QC409 names the present status, or what is in the way. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.transfer_visit(visit bigint, queue bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_transfer_visit';
COMMENT ON FUNCTION clinicq.transfer_visit(bigint, bigint) IS
    'Moves a patient to another queue of today: the visit (WAITING, START or HELD) ends as TRANSFERRED and a new one with a token of the other queue goes on; each names the other. '
    'Returns the new visit. Errors: P0002 no such visit or open queue; QC409 names the present status. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.hold_visit(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_hold_visit';
COMMENT ON FUNCTION clinicq.hold_visit(bigint) IS
    'Puts a visit on hold, so that it is not called: WAITING or START to HELD. '
    'Errors: P0002 no such visit; QC409 names the present status. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.resume_visit(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_resume_visit';
COMMENT ON FUNCTION clinicq.resume_visit(bigint) IS
    'Back to the queue after a hold: HELD to WAITING; the setting return_place says where the patient stands then. '
    'Errors: P0002 no such visit; QC409 names the present status. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.announce_visit(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_announce_visit';
COMMENT ON FUNCTION clinicq.announce_visit(bigint) IS
    'Calls a patient once more who was called and has not come: START stays START. '
    'Errors: P0002 no such visit; QC409 names the present status. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.undo_visit(visit bigint, OUT visit_id bigint, OUT token_number integer, OUT status text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_undo_visit';
COMMENT ON FUNCTION clinicq.undo_visit(bigint) IS
    'Takes back the last move of a visit, by who made it and within a minute, and returns the visit as it was before. '
    'A transfer is taken back while nothing has been done with the new visit, which is CANCELLED then; its token stays used. '
    'Errors: P0002 no such visit; QC409 says why not. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.call_next(queue bigint, room bigint DEFAULT NULL, OUT visit_id bigint, OUT token_number integer, OUT status text) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_call_next';
COMMENT ON FUNCTION clinicq.call_next(bigint, bigint) IS
    'Calls the next patient who waits in a queue, by priority class and token, to a room (NULL: the one signed into, if any): WAITING to START. '
    'It never waits for another call: a visit that somebody else holds is passed over. One row, or none and a notice where nobody waits. '
    'Errors: P0002 no such open queue or room; QC409 names the token that is in the room. Who: admin, doctor.';

CREATE FUNCTION clinicq.call_next(queues bigint[], room bigint DEFAULT NULL, OUT visit_id bigint, OUT token_number integer, OUT status text) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_call_next_of';
COMMENT ON FUNCTION clinicq.call_next(bigint[], bigint) IS
    'The same for up to 50 queues of one clinic: of the highest priority class that waits in any of them, who has waited longest. '
    'Errors: 22023 queues; P0002 no such open room; QC409 names the token that is in the room. Who: admin, doctor.';
