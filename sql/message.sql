CREATE FUNCTION clinicq.notify_visit(visit bigint, channel text, address text, language text DEFAULT 'en') RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_notify_visit';
COMMENT ON FUNCTION clinicq.notify_visit(bigint, text, text, text) IS
    'Tells the patient of an open visit when the turn is near (setting near_places) and where to come to: by sms to a number with its country code, or by email. Only for a patient who has agreed to it, which is recorded with this. '
    'language: one that clinicq.message_templates() has. In the place of what was asked for before; after a transfer it holds for the visit that goes on. '
    'Errors: 22023 names every bad field, or a channel that is not set up; P0002 no such visit; QC409 it is not open. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.forget_contact(visit bigint) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_forget_contact';
COMMENT ON FUNCTION clinicq.forget_contact(bigint) IS
    'Removes the number or address by which the patient of a visit was to be told; what was not sent yet is not. Errors: P0002 no such visit. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.message_templates(OUT purpose text, OUT channel text, OUT language text, OUT subject text, OUT body text, OUT shipped boolean) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_message_templates';
COMMENT ON FUNCTION clinicq.message_templates() IS
    'What messages say, by purpose, channel and language; shipped: as it came with ClinicQ. Errors: none. Who: admin.';

CREATE FUNCTION clinicq.change_message_template(purpose text, channel text, language text, body text, subject text DEFAULT NULL) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_change_message_template';
COMMENT ON FUNCTION clinicq.change_message_template(text, text, text, text, text) IS
    'Changes what a message says, or adds a language; migrate() leaves it alone from then on. subject: of an e-mail. '
    'Placeholders: of turn_near, room (called to a room) and desk (called without one) {token}, {queue}, {room}, {clinic}, {place}; of password_reset {clinic}, {link}, {minutes}; of daily_summary {clinic}, {day}, {summary}. '
    'Errors: 22023 names every bad field. Who: admin.';

CREATE FUNCTION clinicq_api.request_password_reset(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_request_password_reset';
COMMENT ON FUNCTION clinicq_api.request_password_reset(text[], jsonb, text) IS
    'Ask for a link for a new password by e-mail, three times an hour at the most (username). It always answers 202, whether there is such a user with an e-mail address or not. Who: everybody.';

CREATE FUNCTION clinicq_api.confirm_password_reset(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_confirm_password_reset';
COMMENT ON FUNCTION clinicq_api.confirm_password_reset(text[], jsonb, text) IS
    'Set a new password with the token of a link, once and within 30 minutes (token, password); ends all sessions. A second factor stays in force. Who: everybody.';
