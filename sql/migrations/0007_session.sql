-- Sessions with a key of their own, and refresh tokens.
ALTER TABLE clinicq.session
    ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN device text CHECK (char_length(device) <= 200),
    ADD COLUMN ends_at timestamptz,
    ADD COLUMN in_cookie boolean NOT NULL DEFAULT false,
    ADD UNIQUE (id);
COMMENT ON COLUMN clinicq.session.id IS 'Key, as the list of sessions shows it.';
COMMENT ON COLUMN clinicq.session.device IS 'User-Agent of the log-in.';
COMMENT ON COLUMN clinicq.session.ends_at IS 'When it ends however much it is used, for a session with refresh tokens; NULL: it slides.';
COMMENT ON COLUMN clinicq.session.in_cookie IS 'Whether the token was given out as a cookie.';
COMMENT ON COLUMN clinicq.session.token_hash IS 'SHA-256 of the (access) token; the token itself is nowhere kept.';
COMMENT ON COLUMN clinicq.session.expires_at IS 'When it ends unless it is used, or refreshed, again.';

CREATE TABLE clinicq.refresh_token (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id bigint NOT NULL REFERENCES clinicq.session (id) ON DELETE CASCADE,
    salt bytea NOT NULL CHECK (octet_length(salt) = 32),
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clinicq.refresh_token IS 'The refresh tokens of a session, used and unused. A used one that comes again ends the session (RFC 9700, section 4.14).';
COMMENT ON COLUMN clinicq.refresh_token.token_hash IS 'SHA-256 of the token.';
COMMENT ON COLUMN clinicq.refresh_token.session_id IS 'The session.';
COMMENT ON COLUMN clinicq.refresh_token.salt IS 'Of the tokens that this one is exchanged for: they are made of it and of the token itself, so that for a moment the same can be given again.';
COMMENT ON COLUMN clinicq.refresh_token.used_at IS 'When it was exchanged; NULL while it can be.';
COMMENT ON COLUMN clinicq.refresh_token.created_at IS 'When it was given out.';
CREATE INDEX refresh_token_of_session ON clinicq.refresh_token (session_id);
COMMENT ON INDEX clinicq.refresh_token_of_session IS 'Ends with its session.';

ALTER TABLE clinicq.app_user ADD COLUMN password_expired boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN clinicq.app_user.password_expired IS 'True for a one-time password: nothing can be done with it but to change it.';

CREATE TABLE clinicq.log_in_attempt (
    name_hash bytea NOT NULL CHECK (octet_length(name_hash) = 32),
    network inet NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    last_at timestamptz NOT NULL DEFAULT now(),
    locked_until timestamptz,
    succeeded_at timestamptz,
    PRIMARY KEY (name_hash, network)
) WITH (fillfactor = 70);
COMMENT ON TABLE clinicq.log_in_attempt IS 'Log-ins that were tried, by name and address. Counted before the password is looked at, for unknown names too.';
COMMENT ON COLUMN clinicq.log_in_attempt.name_hash IS 'SHA-256 of the name in lower case: what was typed there may be a password.';
COMMENT ON COLUMN clinicq.log_in_attempt.network IS 'Address (IPv6: its /64).';
COMMENT ON COLUMN clinicq.log_in_attempt.failures IS 'Tries since the last success from there.';
COMMENT ON COLUMN clinicq.log_in_attempt.last_at IS 'When the last one was.';
COMMENT ON COLUMN clinicq.log_in_attempt.locked_until IS 'Until when no other is taken; NULL for none.';
COMMENT ON COLUMN clinicq.log_in_attempt.succeeded_at IS 'When this name last logged in from there; NULL for never.';
CREATE INDEX log_in_attempt_age ON clinicq.log_in_attempt (last_at);
COMMENT ON INDEX clinicq.log_in_attempt_age IS 'Forgetting what is old.';

ALTER TABLE clinicq.route ADD COLUMN before text CHECK (before ~ '^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$');
COMMENT ON COLUMN clinicq.route.before IS 'A function like the route''s own that the shim calls first, in a transaction of its own; only if it answers 204 the route''s own is called. NULL for none.';
