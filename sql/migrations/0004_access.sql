CREATE TABLE clinicq.app_user (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL UNIQUE CHECK (username ~ '^[A-Za-z0-9@.+_-]{1,150}$'),
    password_hash text NOT NULL,
    roles text[] NOT NULL DEFAULT '{}' CHECK (roles <@ ARRAY['admin', 'doctor', 'assistant', 'display', 'auditor', 'reporter']
        AND array_position(roles, NULL) IS NULL),
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE clinicq.app_user IS 'Who may log in over HTTP.';
COMMENT ON COLUMN clinicq.app_user.id IS 'Key.';
COMMENT ON COLUMN clinicq.app_user.username IS 'Log-in name; upper and lower case differ, but no two names differ by that alone.';
COMMENT ON COLUMN clinicq.app_user.password_hash IS 'Argon2id in the PHC string format.';
COMMENT ON COLUMN clinicq.app_user.roles IS 'Any of admin, doctor, assistant, display, auditor, reporter.';
COMMENT ON COLUMN clinicq.app_user.disabled_at IS 'When the user was shut out; NULL while active.';
COMMENT ON COLUMN clinicq.app_user.created_at IS 'When the user was created.';
COMMENT ON COLUMN clinicq.app_user.updated_at IS 'When the user was last changed.';
COMMENT ON COLUMN clinicq.app_user.version IS 'Counts the changes of this row.';
CREATE UNIQUE INDEX app_user_name ON clinicq.app_user (lower(username));
COMMENT ON INDEX clinicq.app_user_name IS 'No two user names differ by case alone.';

CREATE TABLE clinicq.session (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id bigint NOT NULL REFERENCES clinicq.app_user,
    client inet,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE clinicq.session IS 'Who is logged in. A row that is gone or past its time ends the session at once, everywhere.';
COMMENT ON COLUMN clinicq.session.token_hash IS 'SHA-256 of the token; the token itself is nowhere kept.';
COMMENT ON COLUMN clinicq.session.user_id IS 'The user.';
COMMENT ON COLUMN clinicq.session.client IS 'Address that the log-in came from.';
COMMENT ON COLUMN clinicq.session.created_at IS 'When the user logged in.';
COMMENT ON COLUMN clinicq.session.last_used_at IS 'Last use, to the minute.';
COMMENT ON COLUMN clinicq.session.expires_at IS 'When it ends unless it is used again.';
CREATE INDEX session_of_user ON clinicq.session (user_id);
COMMENT ON INDEX clinicq.session_of_user IS 'Ending all sessions of a user.';
CREATE INDEX session_expiry ON clinicq.session (expires_at);
COMMENT ON INDEX clinicq.session_expiry IS 'Removing what has expired.';
