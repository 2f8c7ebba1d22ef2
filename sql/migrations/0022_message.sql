-- Who asked to be told of a visit, what they are told, and what users get by e-mail.
CREATE TABLE clinicq.visit_contact (
    visit_id bigint PRIMARY KEY REFERENCES clinicq.visit,
    service_day date NOT NULL,
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    address text NOT NULL CHECK (char_length(address) BETWEEN 3 AND 254),
    language text NOT NULL CHECK (language ~ '^[a-z]{2,3}$'),
    consented_at timestamptz NOT NULL DEFAULT now(),
    created_by_id bigint,
    created_by text NOT NULL,
    near_at timestamptz
) WITH (fillfactor = 80);
COMMENT ON TABLE clinicq.visit_contact IS 'Patients who asked to be told when their turn is near and where to come to; a row each visit.';
COMMENT ON COLUMN clinicq.visit_contact.visit_id IS 'The visit; after a transfer the one that goes on.';
COMMENT ON COLUMN clinicq.visit_contact.service_day IS 'Day of the visit, so that those of today are found at once.';
COMMENT ON COLUMN clinicq.visit_contact.channel IS 'sms or email.';
COMMENT ON COLUMN clinicq.visit_contact.address IS 'Number (E.164) or e-mail address.';
COMMENT ON COLUMN clinicq.visit_contact.language IS 'Language of the messages, as in message_template.';
COMMENT ON COLUMN clinicq.visit_contact.consented_at IS 'When the patient agreed to be told.';
COMMENT ON COLUMN clinicq.visit_contact.created_by_id IS 'The user over HTTP who wrote it down; NULL from psql.';
COMMENT ON COLUMN clinicq.visit_contact.created_by IS 'User name, or database role.';
COMMENT ON COLUMN clinicq.visit_contact.near_at IS 'When the message that the turn is near was written; NULL: not yet.';
CREATE INDEX visit_contact_day ON clinicq.visit_contact (service_day);
COMMENT ON INDEX clinicq.visit_contact_day IS 'Whether anybody asked to be told today, and who waits for it.';

CREATE TABLE clinicq.message_template (
    purpose text NOT NULL CHECK (purpose IN ('turn_near', 'room', 'desk', 'password_reset', 'daily_summary')),
    channel text NOT NULL CHECK (channel IN ('sms', 'email')),
    language text NOT NULL CHECK (language ~ '^[a-z]{2,3}$'),
    subject text CHECK (char_length(subject) BETWEEN 1 AND 200),
    body text NOT NULL CHECK (char_length(body) BETWEEN 1 AND 2000),
    shipped boolean NOT NULL DEFAULT false,
    PRIMARY KEY (purpose, channel, language),
    CHECK ((channel = 'email') = (subject IS NOT NULL)),
    CHECK (channel = 'email' OR purpose IN ('turn_near', 'room', 'desk'))
);
COMMENT ON TABLE clinicq.message_template IS 'What messages say; change them with clinicq.change_message_template(), which checks the placeholders.';
COMMENT ON COLUMN clinicq.message_template.purpose IS 'turn_near: few are called before the patient; room: called, to a room; desk: called, without one; password_reset, daily_summary: to users.';
COMMENT ON COLUMN clinicq.message_template.channel IS 'sms or email.';
COMMENT ON COLUMN clinicq.message_template.language IS 'Code of ISO 639: en, ur. Where a language has no text, that of en is sent.';
COMMENT ON COLUMN clinicq.message_template.subject IS 'Subject of an e-mail; NULL of an SMS.';
COMMENT ON COLUMN clinicq.message_template.body IS 'The text, with placeholders: of visits {token}, {queue}, {room}, {clinic}, {place}; of password_reset {clinic}, {link}, {minutes}; of daily_summary {clinic}, {day}, {summary}.';
COMMENT ON COLUMN clinicq.message_template.shipped IS 'True for a text of ClinicQ, which migrate() brings to the installed version; false for one of the clinic, which it leaves alone.';

ALTER TABLE clinicq.app_user ADD COLUMN email text CHECK (char_length(email) BETWEEN 3 AND 254);
COMMENT ON COLUMN clinicq.app_user.email IS 'Where links for a new password and, of administrators, daily summaries go; NULL: nowhere.';
CREATE UNIQUE INDEX app_user_email ON clinicq.app_user (lower(email)) WHERE email IS NOT NULL;
COMMENT ON INDEX clinicq.app_user_email IS 'No two users share an e-mail address.';

CREATE TABLE clinicq.password_reset (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    user_id bigint NOT NULL REFERENCES clinicq.app_user,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
COMMENT ON TABLE clinicq.password_reset IS 'Links by which users set a new password. The link has a signature as well, which is nowhere kept.';
COMMENT ON COLUMN clinicq.password_reset.id IS '128 random bits, the first half of the link''s token.';
COMMENT ON COLUMN clinicq.password_reset.user_id IS 'Whose password.';
COMMENT ON COLUMN clinicq.password_reset.created_at IS 'When it was asked for.';
COMMENT ON COLUMN clinicq.password_reset.expires_at IS 'From when on it is of no use.';
COMMENT ON COLUMN clinicq.password_reset.used_at IS 'When it was used, or made void by a password or e-mail address that changed in another way; NULL until then.';
CREATE INDEX password_reset_of_user ON clinicq.password_reset (user_id);
COMMENT ON INDEX clinicq.password_reset_of_user IS 'How many a user asked for lately; making them void.';
CREATE INDEX password_reset_expiry ON clinicq.password_reset (expires_at);
COMMENT ON INDEX clinicq.password_reset_expiry IS 'Removing what has expired.';

CREATE TABLE clinicq.daily_summary (
    clinic_id bigint NOT NULL REFERENCES clinicq.clinic,
    service_day date NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (clinic_id, service_day)
);
COMMENT ON TABLE clinicq.daily_summary IS 'Days whose summary has been written to the administrators, so that it is once.';
COMMENT ON COLUMN clinicq.daily_summary.clinic_id IS 'The site.';
COMMENT ON COLUMN clinicq.daily_summary.service_day IS 'The service day.';
COMMENT ON COLUMN clinicq.daily_summary.written_at IS 'When.';

COMMENT ON COLUMN clinicq.signing_key.name IS 'What it signs: image, the addresses of images; reset, the links for a new password.';
