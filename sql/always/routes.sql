DELETE FROM clinicq.route WHERE shipped;
INSERT INTO clinicq.route (method, path, function, class, body, lane, who, summary, shipped) VALUES
    ('POST', '/api/auth/login/', 'clinicq_api.log_in', 'slow', 'fields', NULL, '{anyone}', 'Log in with username and password; answers a token.', true),
    ('POST', '/api/auth/refresh/', 'clinicq_api.refresh', 'write', 'fields', NULL, '{anyone}', 'Exchange a refresh token for a new access token and the next refresh token.', true),
    ('POST', '/api/auth/logout/', 'clinicq_api.log_out', 'write', 'none', NULL, '{any}', 'End the session of this token.', true),
    ('POST', '/api/auth/logout_all/', 'clinicq_api.log_out_everywhere', 'write', 'none', NULL, '{any}', 'End all sessions of this user.', true),
    ('GET', '/api/auth/sessions/', 'clinicq_api.list_sessions', 'read', 'none', NULL, '{any}', 'The sessions of this user, with device and last use; for an admin those of ?user= too.', true),
    ('DELETE', '/api/auth/sessions/{id}/', 'clinicq_api.end_session', 'write', 'none', NULL, '{any}', 'End one of one''s own sessions; an admin anyone''s.', true),
    ('POST', '/api/auth/password/', 'clinicq_api.change_password', 'slow', 'fields', NULL, '{any}', 'Change one''s own password (old_password, password); ends all sessions.', true),
    ('POST', '/api/auth/password_reset/', 'clinicq_api.request_password_reset', 'slow', 'fields', NULL, '{anyone}', 'Ask for a link for a new password by e-mail (username); answers the same whether there is such a user or not.', true),
    ('POST', '/api/auth/password_reset/confirm/', 'clinicq_api.confirm_password_reset', 'slow', 'fields', NULL, '{anyone}', 'Set a new password with the token of such a link (token, password); ends all sessions.', true),
    ('POST', '/api/auth/totp/', 'clinicq_api.enrol_totp', 'slow', 'fields', NULL, '{any}', 'Begin to set up a second factor, with one''s password; answers its secret and otpauth URI.', true),
    ('POST', '/api/auth/totp/confirm/', 'clinicq_api.confirm_totp', 'write', 'fields', NULL, '{any}', 'Put the second factor in force with a first code; answers recovery codes.', true),
    ('POST', '/api/auth/totp/remove/', 'clinicq_api.remove_totp', 'write', 'fields', NULL, '{any}', 'Take the second factor away, with a code of it.', true),
    ('GET', '/api/auth/me/', 'clinicq_api.me', 'read', 'none', NULL, '{any}', 'Who is logged in, with roles.', true),
    ('GET', '/api/health/', 'clinicq_api.health', 'read', 'none', NULL, '{anyone}', 'Whether the service and its database answer.', true),
    ('GET', '/api/openapi.json', 'clinicq_api.openapi', 'read', 'none', NULL, '{anyone}', 'This description.', true),

    ('GET', '/api/queues/', 'clinicq_api.list_queues', 'read', 'none', NULL, '{any}', 'The open queues, by name.', true),
    ('POST', '/api/queues/', 'clinicq_api.create_queue', 'write', 'fields', NULL, '{admin}', 'Create a queue.', true),
    ('GET', '/api/queues/{id}/', 'clinicq_api.get_queue', 'read', 'none', NULL, '{any}', 'One queue.', true),
    ('GET', '/api/queues/{id}/events', 'clinicq_api.queue_events', 'read', 'none', NULL, '{admin,doctor,assistant,display}', 'What happens in a queue, as it happens (Server-Sent Events).', true),
    ('GET', '/api/board/events', 'clinicq_api.board_events', 'read', 'none', NULL, '{admin,doctor,assistant,display}', 'What happens in all queues, as it happens (Server-Sent Events).', true),
    ('PATCH', '/api/queues/{id}/', 'clinicq_api.update_queue', 'write', 'fields', NULL, '{admin}', 'Change name or token prefix of a queue.', true),
    ('DELETE', '/api/queues/{id}/', 'clinicq_api.close_queue', 'write', 'none', NULL, '{admin}', 'Close a queue for good; refused while a visit in it is open.', true),

    ('GET', '/api/patients/', 'clinicq_api.list_patients', 'read', 'none', NULL, '{admin,doctor,assistant}', 'Patients by number, all or those asked for by registration_numbers.', true),
    ('GET', '/api/patients/search/', 'clinicq_api.search_patients', 'slow', 'none', NULL, '{admin,doctor,assistant}', 'Patients by any part of name, telephone or number.', true),
    ('POST', '/api/patients/', 'clinicq_api.create_patient', 'write', 'fields', NULL, '{admin,doctor,assistant}', 'Register a patient.', true),
    ('GET', '/api/patients/{registration_number}/', 'clinicq_api.get_patient', 'read', 'none', NULL, '{admin,doctor,assistant,display}', 'One patient; a display sees number and permitted name of those in the queue today.', true),
    ('PUT', '/api/patients/{registration_number}/', 'clinicq_api.replace_patient', 'write', 'fields', NULL, '{admin,doctor,assistant}', 'Change a patient; name is required.', true),
    ('PATCH', '/api/patients/{registration_number}/', 'clinicq_api.update_patient', 'write', 'fields', NULL, '{admin,doctor,assistant}', 'Change what is given of a patient.', true),
    ('DELETE', '/api/patients/{registration_number}/', 'clinicq_api.remove_patient', 'write', 'none', NULL, '{admin,doctor}', 'Hide a patient; refused while a visit is open.', true),
    ('GET', '/api/patients/{registration_number}/access/', 'clinicq_api.get_patient_access', 'read', 'none', NULL, '{admin}', 'Whether a patient is restricted, and to whom.', true),
    ('PATCH', '/api/patients/{registration_number}/access/', 'clinicq_api.restrict_patient', 'write', 'fields', NULL, '{admin}', 'Restrict a patient''s record, or open it again (restricted).', true),
    ('POST', '/api/patients/{registration_number}/access/', 'clinicq_api.grant_patient_access', 'write', 'fields', NULL, '{admin}', 'Let a user see a restricted patient (username).', true),
    ('DELETE', '/api/patients/{registration_number}/access/{username}/', 'clinicq_api.revoke_patient_access', 'write', 'none', NULL, '{admin}', 'No longer let a user see a restricted patient.', true),
    ('POST', '/api/patients/{registration_number}/emergency/', 'clinicq_api.open_emergency', 'write', 'fields', NULL, '{admin,doctor}', 'Open a restricted record in an emergency (reason).', true),
    ('GET', '/api/emergency/', 'clinicq_api.list_emergencies', 'read', 'none', NULL, '{admin,auditor}', 'Emergencies, newest first; ?reviewed=false for those that wait for review.', true),
    ('PATCH', '/api/emergency/{id}/', 'clinicq_api.review_emergency', 'write', 'fields', NULL, '{admin}', 'Close the review of an emergency (review).', true),
    ('GET', '/api/audit/', 'clinicq_api.list_events', 'slow', 'none', NULL, '{admin,auditor}', 'The audit log, newest first, with filters.', true),

    ('GET', '/api/visits/', 'clinicq_api.list_visits', 'read', 'none', NULL, '{admin,doctor,assistant,display}', 'Visits of today, or of the days asked for.', true),
    ('POST', '/api/visits/', 'clinicq_api.open_visit', 'write', 'fields', 'queue', '{admin,assistant}', 'Open a visit: gives the next token of the queue; notify_by, notify_to and notify_consent for messages when the turn is near.', true),
    ('GET', '/api/visits/{id}/', 'clinicq_api.get_visit', 'read', 'none', NULL, '{admin,doctor,assistant,display}', 'One visit.', true),
    ('PATCH', '/api/visits/{id}/', 'clinicq_api.update_visit', 'write', 'fields', 'queue', '{admin,doctor,assistant}', 'Transfer to another queue (queue), which answers the new visit with its token; change the priority (priority), or how the patient is told (notify_by).', true),
    ('PATCH', '/api/visits/{id}/start/', 'clinicq_api.start_visit', 'write', 'none', NULL, '{admin,doctor}', 'Call the patient, to a room where one is given (room).', true),
    ('PATCH', '/api/visits/{id}/in_room/', 'clinicq_api.enter_room', 'write', 'none', NULL, '{admin,doctor}', 'The patient is in the room.', true),
    ('PATCH', '/api/visits/{id}/send_back_to_waiting/', 'clinicq_api.return_to_waiting', 'write', 'none', NULL, '{admin,doctor}', 'Back to the queue, with the same token.', true),
    ('PATCH', '/api/visits/{id}/done/', 'clinicq_api.finish_visit', 'write', 'none', NULL, '{admin,doctor}', 'The patient has been seen.', true),
    ('PATCH', '/api/visits/{id}/cancel/', 'clinicq_api.cancel_visit', 'write', 'none', NULL, '{admin,doctor,assistant}', 'Cancel a visit that waits.', true),
    ('PATCH', '/api/visits/{id}/no_show/', 'clinicq_api.mark_no_show', 'write', 'none', NULL, '{admin,doctor,assistant}', 'The patient was called and did not come.', true),
    ('PATCH', '/api/visits/{id}/recall/', 'clinicq_api.recall_visit', 'write', 'none', NULL, '{admin,doctor,assistant}', 'Back to the queue after a no-show.', true),

    ('PATCH', '/api/visits/{id}/hold/', 'clinicq_api.hold_visit', 'write', 'none', NULL, '{admin,doctor,assistant}', 'Put a visit on hold: it is not called.', true),
    ('PATCH', '/api/visits/{id}/resume/', 'clinicq_api.resume_visit', 'write', 'none', NULL, '{admin,doctor,assistant}', 'Back to the queue after a hold.', true),
    ('PATCH', '/api/visits/{id}/announce/', 'clinicq_api.announce_visit', 'write', 'none', NULL, '{admin,doctor,assistant}', 'Call a patient once more who has not come.', true),
    ('PATCH', '/api/visits/{id}/undo/', 'clinicq_api.undo_visit', 'write', 'none', NULL, '{admin,doctor,assistant}', 'Take back ones last move of a visit, within a minute.', true),
    ('POST', '/api/queues/{id}/call_next/', 'clinicq_api.call_next', 'write', 'fields', NULL, '{admin,doctor}', 'Call the next patient of a queue (room); visit is null where there is none.', true),
    ('POST', '/api/call_next/', 'clinicq_api.call_next_of', 'write', 'fields', NULL, '{admin,doctor}', 'Call the next patient of several queues (queues, room), by longest wait.', true),
    ('GET', '/api/priorities/', 'clinicq_api.list_priorities', 'read', 'none', NULL, '{any}', 'The priority classes, first the one that goes first.', true),
    ('POST', '/api/priorities/', 'clinicq_api.create_priority', 'write', 'fields', NULL, '{admin}', 'Add a priority class (name, rank, reached_by_ageing).', true),
    ('PATCH', '/api/priorities/{rank}/', 'clinicq_api.update_priority', 'write', 'fields', NULL, '{admin}', 'Change name, rank or ageing of a priority class; open visits stay in it.', true),
    ('DELETE', '/api/priorities/{rank}/', 'clinicq_api.remove_priority', 'write', 'none', NULL, '{admin}', 'Remove a priority class; refused while an open visit is of it.', true),
    ('GET', '/api/rooms/', 'clinicq_api.list_rooms', 'read', 'none', NULL, '{admin,doctor,assistant,display}', 'The open rooms: who is signed in, and which token is inside.', true),
    ('POST', '/api/rooms/', 'clinicq_api.create_room', 'write', 'fields', NULL, '{admin}', 'Add a room.', true),
    ('PATCH', '/api/rooms/{id}/', 'clinicq_api.update_room', 'write', 'fields', NULL, '{admin}', 'Change the name of a room.', true),
    ('DELETE', '/api/rooms/{id}/', 'clinicq_api.close_room', 'write', 'none', NULL, '{admin}', 'Close a room for good; refused while a patient is in it.', true),
    ('POST', '/api/rooms/{id}/sign_in/', 'clinicq_api.sign_in_room', 'write', 'none', NULL, '{admin,doctor}', 'Work in a room today: calls go there.', true),
    ('POST', '/api/rooms/{id}/sign_out/', 'clinicq_api.sign_out_room', 'write', 'none', NULL, '{admin,doctor}', 'Leave a room; an administrator signs out others too.', true),

    ('GET', '/api/queues/{id}/wait/', 'clinicq_api.list_waits', 'read', 'none', NULL, '{admin,doctor,assistant,display}', 'How long those who wait in a queue will wait.', true),
    ('GET', '/api/follow/{code}/', 'clinicq_api.follow_visit', 'read', 'none', NULL, '{anyone}', 'One visit of today by the code on its slip, without log-in.', true),
    ('GET', '/api/board/', 'clinicq_api.get_board', 'read', 'none', NULL, '{admin,doctor,assistant,display}', 'What a screen shows: who is called and where to, and who is next.', true),

    ('GET', '/api/prescriptions/', 'clinicq_api.list_prescriptions', 'read', 'none', NULL, '{admin,doctor,assistant}', 'Prescriptions, newest first, of a visit= or a patient=.', true),
    ('GET', '/api/prescriptions/{id}/', 'clinicq_api.get_prescription', 'read', 'none', NULL, '{admin,doctor,assistant}', 'One prescription.', true),
    ('DELETE', '/api/prescriptions/{id}/', 'clinicq_api.remove_prescription', 'write', 'none', NULL, '{admin,doctor}', 'Hide a prescription; nothing is destroyed.', true),
    ('GET', '/api/prescriptions/{id}/image/', 'clinicq_api.get_image', 'read', 'none', NULL, '{anyone}', 'The image of a prescription, by its signed address.', true),

    ('GET', '/api/deliveries/', 'clinicq_api.list_deliveries', 'read', 'none', NULL, '{admin}', 'Deliveries to the outside, newest first, of a state= or a channel=.', true),
    ('GET', '/api/deliveries/{id}/', 'clinicq_api.get_delivery', 'read', 'none', NULL, '{admin}', 'One delivery, with its last error and what the far side told.', true),
    ('POST', '/api/deliveries/{id}/retry/', 'clinicq_api.retry_delivery', 'write', 'none', NULL, '{admin}', 'Try a delivery now that was given up or waits.', true),
    ('GET', '/api/webhooks/', 'clinicq_api.list_webhooks', 'read', 'none', NULL, '{admin}', 'The endpoints that are told of visits.', true),
    ('POST', '/api/webhooks/', 'clinicq_api.create_webhook', 'write', 'fields', NULL, '{admin}', 'Add an endpoint that is told of visits (url, moves, queues).', true),
    ('DELETE', '/api/webhooks/{id}/', 'clinicq_api.remove_webhook', 'write', 'none', NULL, '{admin}', 'Remove an endpoint.', true),

    ('GET', '/api/reports/', 'clinicq_api.list_reports', 'read', 'none', NULL, '{admin,reporter}', 'The reports there are, with their parameters.', true),
    ('GET', '/api/reports/{name}/', 'clinicq_api.get_report', 'slow', 'none', NULL, '{admin,reporter}', 'A report as JSON or CSV.', true),

    ('GET', '/api/audit/export/', 'clinicq_api.export_audit', 'slow', 'none', NULL, '{admin,auditor}', 'The audit log as JSON lines that clinicq-audit verifies, or as CSV.', true),
    ('GET', '/api/audit/seals/', 'clinicq_api.export_seals', 'slow', 'none', NULL, '{admin,auditor}', 'The seals of the audit log as JSON lines.', true),
    ('GET', '/api/audit/snapshot/', 'clinicq_api.export_snapshot', 'slow', 'none', NULL, '{admin,auditor}', 'Patients, visits or queues (kind) of a period as JSON lines or CSV.', true),

    ('GET', '/api/users/', 'clinicq_api.list_users', 'read', 'none', NULL, '{admin}', 'All users, by name.', true),
    ('POST', '/api/users/', 'clinicq_api.create_user', 'slow', 'fields', NULL, '{admin}', 'Create a user; answers a generated password where none was given.', true),
    ('GET', '/api/users/{id}/', 'clinicq_api.get_user', 'read', 'none', NULL, '{admin}', 'One user.', true),
    ('PATCH', '/api/users/{id}/', 'clinicq_api.update_user', 'write', 'fields', NULL, '{admin}', 'Change roles (which ends the sessions) or e-mail address, disable or enable a user.', true),
    ('POST', '/api/users/{id}/password/', 'clinicq_api.set_password', 'slow', 'fields', NULL, '{admin}', 'Give a user a new password; ends the sessions.', true),
    ('POST', '/api/users/{id}/unlock/', 'clinicq_api.unlock_user', 'write', 'none', NULL, '{admin}', 'Let a user try to log in again at once after wrong log-ins.', true),
    ('POST', '/api/users/{id}/totp_reset/', 'clinicq_api.reset_totp', 'write', 'none', NULL, '{admin}', 'Take away the second factor of a user who has lost it; ends the sessions.', true)
ON CONFLICT (method, path) DO NOTHING;

-- The multipart form round an image may be as large as the body of another route; how large the image, the database says.
INSERT INTO clinicq.route (method, path, function, class, body, body_limit, intake, who, summary, shipped) VALUES
    ('POST', '/api/prescriptions/', 'clinicq_api.create_prescription', 'slow', 'file', 104923136, 'clinicq_api.take_upload', '{admin,doctor}', 'Keep an image for a visit (visit, image).', true)
ON CONFLICT (method, path) DO NOTHING;
INSERT INTO clinicq.route (method, path, function, class, body, signature, who, summary, shipped) VALUES
    ('POST', '/api/deliveries/{token}/sms/', 'clinicq_api.take_sms_status', 'write', 'fields', 'twilio', '{anyone}', 'What became of a text message, told and signed by Twilio (MessageSid, MessageStatus, ErrorCode).', true)
ON CONFLICT (method, path) DO NOTHING;
UPDATE clinicq.route SET ranges = true WHERE shipped AND function = 'clinicq_api.get_image';

UPDATE clinicq.route SET secret = true WHERE shipped AND method <> 'GET' AND function IN ('clinicq_api.log_in', 'clinicq_api.refresh',
    'clinicq_api.change_password', 'clinicq_api.enrol_totp', 'clinicq_api.confirm_totp', 'clinicq_api.remove_totp',
    'clinicq_api.create_user', 'clinicq_api.set_password', 'clinicq_api.request_password_reset', 'clinicq_api.confirm_password_reset');

-- Passwords are looked at only after the try is counted.
UPDATE clinicq.route SET before = 'clinicq_api.admit_log_in' WHERE function = 'clinicq_api.log_in';
UPDATE clinicq.route SET before = 'clinicq_api.admit_code' WHERE function IN ('clinicq_api.confirm_totp', 'clinicq_api.remove_totp');
UPDATE clinicq.route SET before = 'clinicq_api.admit_enrolment' WHERE function = 'clinicq_api.enrol_totp';
UPDATE clinicq.route SET before = 'clinicq_api.admit_password_change' WHERE function = 'clinicq_api.change_password';
