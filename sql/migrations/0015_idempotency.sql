CREATE TABLE clinicq.idempotency_key (
    user_id bigint NOT NULL REFERENCES clinicq.app_user ON DELETE CASCADE,
    key text NOT NULL CHECK (key ~ '^[!-~]{1,255}$'),
    fingerprint bytea NOT NULL,
    status integer CHECK (status BETWEEN 200 AND 399),
    reply json,
    headers json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key),
    CHECK (status IS NOT NULL OR (reply IS NULL AND headers IS NULL)),
    CHECK (octet_length(reply::text) + octet_length(coalesce(headers::text, '')) <= 65536)
);
COMMENT ON TABLE clinicq.idempotency_key IS 'Writes that were sent with an Idempotency-Key, and their replies. A row is written by the transaction that did the work; it is removed after the setting idempotency_hours.';
COMMENT ON COLUMN clinicq.idempotency_key.user_id IS 'Who sent it: keys of different users never meet.';
COMMENT ON COLUMN clinicq.idempotency_key.key IS 'The key, 1 to 255 visible ASCII characters.';
COMMENT ON COLUMN clinicq.idempotency_key.fingerprint IS 'SHA-256 of route, roles, path values, query and parsed body; empty where the reply is not kept.';
COMMENT ON COLUMN clinicq.idempotency_key.status IS 'HTTP status of the reply; NULL where it is not kept: it held a secret, was too large, or showed a patient who was erased or restricted since.';
COMMENT ON COLUMN clinicq.idempotency_key.reply IS 'Body of the reply.';
COMMENT ON COLUMN clinicq.idempotency_key.headers IS 'Headers of the reply.';
COMMENT ON COLUMN clinicq.idempotency_key.created_at IS 'When it was done.';
CREATE INDEX idempotency_key_age ON clinicq.idempotency_key (created_at);
COMMENT ON INDEX clinicq.idempotency_key_age IS 'Removing what is past its time.';

ALTER TABLE clinicq.route ADD COLUMN secret boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN clinicq.route.secret IS 'Whether its requests or replies hold a secret: they are never stored for an Idempotency-Key.';
