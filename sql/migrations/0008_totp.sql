CREATE TABLE clinicq.totp (
    user_id bigint PRIMARY KEY REFERENCES clinicq.app_user,
    secret bytea NOT NULL CHECK (octet_length(secret) = 20),
    last_step bigint NOT NULL DEFAULT 0,
    confirmed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clinicq.totp IS 'Second factor by time-based codes (RFC 6238), for users who have enrolled.';
COMMENT ON COLUMN clinicq.totp.user_id IS 'The user.';
COMMENT ON COLUMN clinicq.totp.secret IS 'Shared secret, 160 bits.';
COMMENT ON COLUMN clinicq.totp.last_step IS 'Time step of the last code that was taken; none up to it is taken again.';
COMMENT ON COLUMN clinicq.totp.confirmed_at IS 'When a first code proved that the user''s device has the secret; NULL: not in force yet.';
COMMENT ON COLUMN clinicq.totp.created_at IS 'When the secret was made.';

CREATE TABLE clinicq.recovery_code (
    user_id bigint NOT NULL REFERENCES clinicq.totp ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    used_at timestamptz,
    PRIMARY KEY (user_id, code_hash)
);
COMMENT ON TABLE clinicq.recovery_code IS 'Codes that stand in for a lost device, each once.';
COMMENT ON COLUMN clinicq.recovery_code.user_id IS 'The user.';
COMMENT ON COLUMN clinicq.recovery_code.code_hash IS 'SHA-256 of the code (80 random bits).';
COMMENT ON COLUMN clinicq.recovery_code.used_at IS 'When it was used; NULL while it can be.';
