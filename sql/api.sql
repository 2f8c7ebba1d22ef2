CREATE FUNCTION clinicq_api.call(route text, token text, path text[], query jsonb, body text, body_fault text,
    request_id text, client inet, base_url text, user_agent text DEFAULT NULL, trace_id text DEFAULT NULL,
    idempotency_key text DEFAULT NULL, if_match text DEFAULT NULL, if_none_match text DEFAULT NULL,
    OUT status integer, OUT reply json, OUT headers json, OUT actor bigint)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_call';
COMMENT ON FUNCTION clinicq_api.call(text, text, text[], jsonb, text, text, text, inet, text, text, text, text, text, text) IS
    'One HTTP request: finds who holds the token, calls the function that the route names, answers its reply. '
    'route: method and path template, NULL for a known path with a wrong method; path: decoded path values; query: decoded parameters; '
    'body: JSON text; body_fault: media-type, encoding or form where the body could not be read; base_url: scheme and host for links; user_agent: up to 200 characters, NULL for none; '
    'trace_id: of W3C traceparent, NULL for none. application_name ends with it, or with request_id, until the transaction ends. '
    'idempotency_key, if_match, if_none_match: the headers of these names, NULL for none; a write with a key is done once, and a repeat within idempotency_hours gets the first reply with the header Idempotency-Replayed; 304 where if_none_match names the ETag. '
    'The identity lives until the transaction ends and cannot be set in any other way. '
    'Errors: 28000 no valid token; QC405 route is NULL; QC403 a password has to be changed or a second factor set up first; P0002 no such route; QC400 the key is none; QC422 the key was used for another request; QC425 that request is being done; QC208 it was done and its reply is not kept; QC412 if_match does not name the ETag of now; 55000 before migrate(), or a second request in one transaction; what the function raises. Who: the shim.';

CREATE FUNCTION clinicq_api.catalogue() RETURNS json
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_catalogue';
COMMENT ON FUNCTION clinicq_api.catalogue() IS
    'What the shim serves: version, routes and problems; demo_users: how many users with demo => true are not shut out. Errors: 55000 before migrate(). Who: the shim.';

CREATE FUNCTION clinicq_api.gauges() RETURNS text
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_gauges';
COMMENT ON FUNCTION clinicq_api.gauges() IS
    'Gauges of the database in Prometheus'' text format: whether the keeper works, and what of the audit log is not sealed yet. '
    'Errors: 55000 before migrate(). Who: the shim.';

-- The functions that clinicq.route names. Only the dispatcher calls them, as clinicq_owner.

CREATE FUNCTION clinicq_api.log_in(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_log_in';
COMMENT ON FUNCTION clinicq_api.log_in(text[], jsonb, text) IS
    'Log in with username and password; answers a token. Who: everybody.';

CREATE FUNCTION clinicq_api.log_out(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_log_out';
COMMENT ON FUNCTION clinicq_api.log_out(text[], jsonb, text) IS
    'End the session of this token. Who: any valid token.';

CREATE FUNCTION clinicq_api.me(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_me';
COMMENT ON FUNCTION clinicq_api.me(text[], jsonb, text) IS
    'Who is logged in, with roles. Who: any valid token.';

CREATE FUNCTION clinicq_api.health(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_health';
COMMENT ON FUNCTION clinicq_api.health(text[], jsonb, text) IS
    'Whether the service and its database answer. Who: everybody.';

CREATE FUNCTION clinicq_api.list_queues(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_queues';
COMMENT ON FUNCTION clinicq_api.list_queues(text[], jsonb, text) IS
    'The open queues, by name. Who: any valid token.';

CREATE FUNCTION clinicq_api.create_queue(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_create_queue';
COMMENT ON FUNCTION clinicq_api.create_queue(text[], jsonb, text) IS
    'Create a queue. Who: admin.';

CREATE FUNCTION clinicq_api.get_queue(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_queue';
COMMENT ON FUNCTION clinicq_api.get_queue(text[], jsonb, text) IS
    'One queue. Who: any valid token.';

CREATE FUNCTION clinicq_api.update_queue(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_update_queue';
COMMENT ON FUNCTION clinicq_api.update_queue(text[], jsonb, text) IS
    'Change name or token prefix of a queue. Who: admin.';

CREATE FUNCTION clinicq_api.close_queue(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_close_queue';
COMMENT ON FUNCTION clinicq_api.close_queue(text[], jsonb, text) IS
    'Close a queue for good; refused while a visit in it is open. Who: admin.';

CREATE FUNCTION clinicq_api.list_patients(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_patients';
COMMENT ON FUNCTION clinicq_api.list_patients(text[], jsonb, text) IS
    'Patients by number, all or those asked for by registration_numbers. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.search_patients(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_search_patients';
COMMENT ON FUNCTION clinicq_api.search_patients(text[], jsonb, text) IS
    'Patients by any part of name, telephone or number. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.create_patient(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_create_patient';
COMMENT ON FUNCTION clinicq_api.create_patient(text[], jsonb, text) IS
    'Register a patient. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.get_patient(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_patient';
COMMENT ON FUNCTION clinicq_api.get_patient(text[], jsonb, text) IS
    'One patient; a display sees number and permitted name of those in the queue today. Who: admin, doctor, assistant, display.';

CREATE FUNCTION clinicq_api.replace_patient(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_replace_patient';
COMMENT ON FUNCTION clinicq_api.replace_patient(text[], jsonb, text) IS
    'Change a patient; name is required. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.update_patient(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_update_patient';
COMMENT ON FUNCTION clinicq_api.update_patient(text[], jsonb, text) IS
    'Change what is given of a patient. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.remove_patient(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_remove_patient';
COMMENT ON FUNCTION clinicq_api.remove_patient(text[], jsonb, text) IS
    'Hide a patient; refused while a visit is open. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.get_patient_access(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_patient_access';
COMMENT ON FUNCTION clinicq_api.get_patient_access(text[], jsonb, text) IS
    'Whether a patient is restricted, and the users who may see the record. Who: admin.';

CREATE FUNCTION clinicq_api.restrict_patient(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_restrict_patient';
COMMENT ON FUNCTION clinicq_api.restrict_patient(text[], jsonb, text) IS
    'Restrict a patient to those on the list, or open the record again (restricted). Who: admin.';

CREATE FUNCTION clinicq_api.grant_patient_access(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_grant_patient_access';
COMMENT ON FUNCTION clinicq_api.grant_patient_access(text[], jsonb, text) IS
    'Put a user on the list of a patient (username). Who: admin.';

CREATE FUNCTION clinicq_api.revoke_patient_access(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_revoke_patient_access';
COMMENT ON FUNCTION clinicq_api.revoke_patient_access(text[], jsonb, text) IS
    'Take a user from the list of a patient. Who: admin.';

CREATE FUNCTION clinicq_api.open_emergency(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_open_emergency';
COMMENT ON FUNCTION clinicq_api.open_emergency(text[], jsonb, text) IS
    'Open a restricted record in an emergency, for a time and with a reason of 10 to 500 characters; it is reviewed afterwards. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.list_emergencies(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_emergencies';
COMMENT ON FUNCTION clinicq_api.list_emergencies(text[], jsonb, text) IS
    'Emergencies, newest first, all or by ?reviewed=false. Who: admin, auditor.';

CREATE FUNCTION clinicq_api.review_emergency(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_review_emergency';
COMMENT ON FUNCTION clinicq_api.review_emergency(text[], jsonb, text) IS
    'Close the review of an emergency with what it found (review); not by who opened it. Who: admin.';

CREATE FUNCTION clinicq_api.list_events(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_events';
COMMENT ON FUNCTION clinicq_api.list_events(text[], jsonb, text) IS
    'The audit log, newest first: from, to (times, or days in UTC), actor, action, entity, entity_id, patient (registration number: all that belongs to the record), '
    'outcome, door, client, request_id; page_size up to 500, then next. A page looks at 100,000 events at the most, so one that is not full may have a next. '
    'Events without id are still being counted. Who is no auditor does not see changes of restricted patients, nor what was searched. Who: admin, auditor.';

CREATE FUNCTION clinicq_api.queue_events(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_queue_events';
COMMENT ON FUNCTION clinicq_api.queue_events(text[], jsonb, text) IS
    'What happens in a queue, as it happens, as Server-Sent Events: first one named snapshot with the open visits of today, then one named visit for each move. '
    'The header Last-Event-ID, or the parameter last_event_id, goes on behind that event; where it is too far back there is a new snapshot. '
    'Errors: P0002 no such queue. Who: admin, doctor, assistant, display.';

CREATE FUNCTION clinicq_api.board_events(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_board_events';
COMMENT ON FUNCTION clinicq_api.board_events(text[], jsonb, text) IS
    'What happens in all queues, as it happens, as Server-Sent Events: first one named snapshot with the open visits of today, then one named visit for each move. '
    'The header Last-Event-ID, or the parameter last_event_id, goes on behind that event; where it is too far back there is a new snapshot. '
    'Who: admin, doctor, assistant, display.';

CREATE FUNCTION clinicq_api.list_visits(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_visits';
COMMENT ON FUNCTION clinicq_api.list_visits(text[], jsonb, text) IS
    'Visits of today, or of the days asked for. Who: admin, doctor, assistant, display.';

CREATE FUNCTION clinicq_api.open_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_open_visit';
COMMENT ON FUNCTION clinicq_api.open_visit(text[], jsonb, text) IS
    'Open a visit: gives the next token of the queue. Who: admin, assistant.';

CREATE FUNCTION clinicq_api.get_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_visit';
COMMENT ON FUNCTION clinicq_api.get_visit(text[], jsonb, text) IS
    'One visit. Who: admin, doctor, assistant, display.';

CREATE FUNCTION clinicq_api.update_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_update_visit';
COMMENT ON FUNCTION clinicq_api.update_visit(text[], jsonb, text) IS
    'Transfer to another queue (queue); answers the new visit with its token. Another priority (priority), by who may open visits. Errors: QC409 names the present status. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.start_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_start_visit';
COMMENT ON FUNCTION clinicq_api.start_visit(text[], jsonb, text) IS
    'Call the patient, to a room where one is given (?room=). Errors: QC409 names the present status, or the token that is in the room. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.enter_room(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_enter_room';
COMMENT ON FUNCTION clinicq_api.enter_room(text[], jsonb, text) IS
    'The patient is in the room. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.return_to_waiting(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_return_to_waiting';
COMMENT ON FUNCTION clinicq_api.return_to_waiting(text[], jsonb, text) IS
    'Back to the queue, with the same token. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.finish_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_finish_visit';
COMMENT ON FUNCTION clinicq_api.finish_visit(text[], jsonb, text) IS
    'The patient has been seen. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.cancel_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_cancel_visit';
COMMENT ON FUNCTION clinicq_api.cancel_visit(text[], jsonb, text) IS
    'Cancel a visit that waits. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.mark_no_show(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_mark_no_show';
COMMENT ON FUNCTION clinicq_api.mark_no_show(text[], jsonb, text) IS
    'The patient was called and did not come. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.recall_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_recall_visit';
COMMENT ON FUNCTION clinicq_api.recall_visit(text[], jsonb, text) IS
    'Back to the queue after a no-show. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.list_users(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_users';
COMMENT ON FUNCTION clinicq_api.list_users(text[], jsonb, text) IS
    'All users, by name. Who: admin.';

CREATE FUNCTION clinicq_api.create_user(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_create_user';
COMMENT ON FUNCTION clinicq_api.create_user(text[], jsonb, text) IS
    'Create a user; answers a generated password where none was given. Who: admin.';

CREATE FUNCTION clinicq_api.get_user(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_user';
COMMENT ON FUNCTION clinicq_api.get_user(text[], jsonb, text) IS
    'One user. Who: admin.';

CREATE FUNCTION clinicq_api.update_user(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_update_user';
COMMENT ON FUNCTION clinicq_api.update_user(text[], jsonb, text) IS
    'Change roles, disable or enable a user; ends the sessions. Who: admin.';

CREATE FUNCTION clinicq_api.set_password(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_set_password';
COMMENT ON FUNCTION clinicq_api.set_password(text[], jsonb, text) IS
    'Give a user a new password; ends the sessions. Who: admin.';

CREATE FUNCTION clinicq_api.admit_log_in(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_admit_log_in';
COMMENT ON FUNCTION clinicq_api.admit_log_in(text[], jsonb, text) IS
    'Counts a log-in before its password is looked at; 429 where it has to wait. Who: everybody.';

CREATE FUNCTION clinicq_api.refresh(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_refresh';
COMMENT ON FUNCTION clinicq_api.refresh(text[], jsonb, text) IS
    'Exchanges a refresh token for a new access token and the next refresh token. One that was used already ends the session. Who: everybody.';

CREATE FUNCTION clinicq_api.log_out_everywhere(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_log_out_everywhere';
COMMENT ON FUNCTION clinicq_api.log_out_everywhere(text[], jsonb, text) IS
    'Ends all sessions of this user. Who: any valid token.';

CREATE FUNCTION clinicq_api.list_sessions(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_sessions';
COMMENT ON FUNCTION clinicq_api.list_sessions(text[], jsonb, text) IS
    'The sessions of this user, with device and last use; for an admin those of ?user= too. Who: any valid token.';

CREATE FUNCTION clinicq_api.end_session(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_end_session';
COMMENT ON FUNCTION clinicq_api.end_session(text[], jsonb, text) IS
    'Ends one of one''s own sessions; an admin anyone''s. Who: any valid token.';

CREATE FUNCTION clinicq_api.admit_password_change(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_admit_password_change';
COMMENT ON FUNCTION clinicq_api.admit_password_change(text[], jsonb, text) IS
    'Counts a change of password before the old one is looked at; 429 where it has to wait. Who: any valid token.';

CREATE FUNCTION clinicq_api.change_password(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_change_password';
COMMENT ON FUNCTION clinicq_api.change_password(text[], jsonb, text) IS
    'Changes one''s own password (old_password, password); ends all sessions. Who: any valid token.';

CREATE FUNCTION clinicq_api.unlock_user(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_unlock_user';
COMMENT ON FUNCTION clinicq_api.unlock_user(text[], jsonb, text) IS
    'Lets a user try to log in again at once after wrong log-ins. Who: admin.';

CREATE FUNCTION clinicq_api.admit_enrolment(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_admit_enrolment';
COMMENT ON FUNCTION clinicq_api.admit_enrolment(text[], jsonb, text) IS
    'Counts a try to set up a second factor before the password is looked at; 429 where it has to wait. Who: any valid token.';

CREATE FUNCTION clinicq_api.enrol_totp(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_enrol_totp';
COMMENT ON FUNCTION clinicq_api.enrol_totp(text[], jsonb, text) IS
    'Begins to set up a second factor (RFC 6238), with one''s password; answers its secret and otpauth URI. Errors: 22023 a field, QC409 one is in force. Who: any valid token.';

CREATE FUNCTION clinicq_api.admit_code(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_admit_code';
COMMENT ON FUNCTION clinicq_api.admit_code(text[], jsonb, text) IS
    'Counts a try of a code before it is looked at; 429 where it has to wait. Who: any valid token.';

CREATE FUNCTION clinicq_api.confirm_totp(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_confirm_totp';
COMMENT ON FUNCTION clinicq_api.confirm_totp(text[], jsonb, text) IS
    'Puts the second factor in force with a first code; answers ten recovery codes, this once. Who: any valid token.';

CREATE FUNCTION clinicq_api.remove_totp(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_remove_totp';
COMMENT ON FUNCTION clinicq_api.remove_totp(text[], jsonb, text) IS
    'Takes the second factor away, with a code of it or a recovery code. Who: any valid token.';

CREATE FUNCTION clinicq_api.reset_totp(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_reset_totp';
COMMENT ON FUNCTION clinicq_api.reset_totp(text[], jsonb, text) IS
    'Takes away the second factor of a user who has lost it; ends the sessions. Who: admin.';

CREATE FUNCTION clinicq_api.list_reports(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_reports';
COMMENT ON FUNCTION clinicq_api.list_reports(text[], jsonb, text) IS
    'The reports there are, with their parameters. Who: admin, reporter.';

CREATE FUNCTION clinicq_api.get_report(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_report';
COMMENT ON FUNCTION clinicq_api.get_report(text[], jsonb, text) IS
    'A report as JSON or CSV (format), for a period of ten years at the most (from, to; the last 31 days, or 366 for months) and all queues or one (queue); board: as of a moment (at). '
    'In CSV, a text that a spreadsheet would take for a formula gets an apostrophe in front, unless safe=off. Who: admin, reporter.';

CREATE FUNCTION clinicq_api.export_audit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_export_audit';
COMMENT ON FUNCTION clinicq_api.export_audit(text[], jsonb, text) IS
    'The audit log, streamed in pages. format=jsonl (default): the sealed events in the order of the tree, in the bytes that were hashed, for clinicq-audit; from and to are widened to whole seals. '
    'format=csv: every event from from on and before to, by time, as a table; safe=off leaves texts alone that a spreadsheet would take for formulas. Who: admin, auditor.';

CREATE FUNCTION clinicq_api.export_seals(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_export_seals';
COMMENT ON FUNCTION clinicq_api.export_seals(text[], jsonb, text) IS
    'All seals of the audit log, a line of JSON each, for clinicq-audit. Who: admin, auditor.';

CREATE FUNCTION clinicq_api.export_snapshot(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_export_snapshot';
COMMENT ON FUNCTION clinicq_api.export_snapshot(text[], jsonb, text) IS
    'kind=patients: those registered (by days of UTC) or seen in the days from and to and between; kind=visits: those of these service days; kind=queues: all, with their number of visits. As they are now, as format=jsonl (default) or csv; safe as for the log. Who: admin, auditor.';

CREATE FUNCTION clinicq_api.hold_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_hold_visit';
COMMENT ON FUNCTION clinicq_api.hold_visit(text[], jsonb, text) IS
    'Put a visit on hold: it is not called. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.resume_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_resume_visit';
COMMENT ON FUNCTION clinicq_api.resume_visit(text[], jsonb, text) IS
    'Back to the queue after a hold. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.announce_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_announce_visit';
COMMENT ON FUNCTION clinicq_api.announce_visit(text[], jsonb, text) IS
    'Call a patient once more who has not come. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.undo_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_undo_visit';
COMMENT ON FUNCTION clinicq_api.undo_visit(text[], jsonb, text) IS
    'Take back one''s last move of a visit, within a minute. A transfer, while nothing has been done with the new visit. Errors: QC409 says why not. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.call_next(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_call_next';
COMMENT ON FUNCTION clinicq_api.call_next(text[], jsonb, text) IS
    'Call the next patient of a queue (room); visit is null where there is none. reason says why there is none. Sent again without an Idempotency-Key and without a room, it calls another patient. Errors: QC409 names the token that is in the room. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.call_next_of(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_call_next_of';
COMMENT ON FUNCTION clinicq_api.call_next_of(text[], jsonb, text) IS
    'Call the next patient of several queues (queues, room), by longest wait. The highest priority class that waits in any goes first. Sent again without an Idempotency-Key and without a room, it calls another patient. Errors: QC409 names the token that is in the room. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.list_priorities(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_priorities';
COMMENT ON FUNCTION clinicq_api.list_priorities(text[], jsonb, text) IS
    'The priority classes, first the one that goes first. Who: any valid token.';

CREATE FUNCTION clinicq_api.create_priority(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_create_priority';
COMMENT ON FUNCTION clinicq_api.create_priority(text[], jsonb, text) IS
    'Add a priority class (name, rank, reached_by_ageing). Who: admin.';

CREATE FUNCTION clinicq_api.update_priority(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_update_priority';
COMMENT ON FUNCTION clinicq_api.update_priority(text[], jsonb, text) IS
    'Change what is given of a priority class (name, rank, reached_by_ageing); open visits stay in it. Errors: QC409 another rank for rank 0. Who: admin.';

CREATE FUNCTION clinicq_api.remove_priority(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_remove_priority';
COMMENT ON FUNCTION clinicq_api.remove_priority(text[], jsonb, text) IS
    'Remove a priority class; refused while an open visit is of it. Who: admin.';

CREATE FUNCTION clinicq_api.list_rooms(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_rooms';
COMMENT ON FUNCTION clinicq_api.list_rooms(text[], jsonb, text) IS
    'The open rooms: who is signed in, and which token is inside. A display does not see who is signed in. Who: admin, doctor, assistant, display.';

CREATE FUNCTION clinicq_api.create_room(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_create_room';
COMMENT ON FUNCTION clinicq_api.create_room(text[], jsonb, text) IS
    'Add a room. Who: admin.';

CREATE FUNCTION clinicq_api.update_room(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_update_room';
COMMENT ON FUNCTION clinicq_api.update_room(text[], jsonb, text) IS
    'Change the name of a room. Who: admin.';

CREATE FUNCTION clinicq_api.close_room(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_close_room';
COMMENT ON FUNCTION clinicq_api.close_room(text[], jsonb, text) IS
    'Close a room for good; refused while a patient is in it. Who: admin.';

CREATE FUNCTION clinicq_api.sign_in_room(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_sign_in_room';
COMMENT ON FUNCTION clinicq_api.sign_in_room(text[], jsonb, text) IS
    'Work in a room today: calls go there. Signs out of any other room. Errors: QC409 names who is signed in. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.sign_out_room(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_sign_out_room';
COMMENT ON FUNCTION clinicq_api.sign_out_room(text[], jsonb, text) IS
    'Leave a room; an administrator signs out others too. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.list_waits(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_waits';
COMMENT ON FUNCTION clinicq_api.list_waits(text[], jsonb, text) IS
    'How long those who wait in a queue will wait: a range of minutes each (from, to), and the token called last. null with a reason where too little is known. Who: admin, doctor, assistant, display.';

CREATE FUNCTION clinicq_api.follow_visit(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_follow_visit';
COMMENT ON FUNCTION clinicq_api.follow_visit(text[], jsonb, text) IS
    'One visit of today by the code on its slip: token, status, room, place, range of minutes, and the token called last; nothing of the patient. Who: everybody.';

CREATE FUNCTION clinicq_api.get_board(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_board';
COMMENT ON FUNCTION clinicq_api.get_board(text[], jsonb, text) IS
    'What a screen shows, of a queue (queue) or all: who is called and where to, the latest first, and who is next. A display sees names as the setting display_names says. Who: admin, doctor, assistant, display.';
