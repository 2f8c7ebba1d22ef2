-- The proof of the audit log: a hash tree as in RFC 6962 over its events, and the seals.
-- BRIN, since writers must not wait for it: what is not sealed yet stands at the end.
CREATE INDEX audit_event_id ON clinicq.audit_event USING brin (id) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON INDEX clinicq.audit_event_id IS 'Sealing, which looks for events after the last ones sealed; an event by its id.';

CREATE TABLE clinicq.audit_leaf (
    position bigint PRIMARY KEY,
    event_id bigint NOT NULL,
    event_at timestamptz NOT NULL,
    hash bytea NOT NULL,
    UNIQUE (event_id, event_at)
);
COMMENT ON TABLE clinicq.audit_leaf IS 'The leaves of the hash tree: one for each event that is sealed.';
COMMENT ON COLUMN clinicq.audit_leaf.position IS 'Place in the tree, from 0, without gap.';
COMMENT ON COLUMN clinicq.audit_leaf.event_id IS 'Key of the event, with event_at.';
COMMENT ON COLUMN clinicq.audit_leaf.event_at IS 'Key of the event, with event_id.';
COMMENT ON COLUMN clinicq.audit_leaf.hash IS 'SHA-256 of a zero byte and the event''s line of JSON.';

CREATE TABLE clinicq.audit_node (
    level smallint NOT NULL CHECK (level >= 10),
    index bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (level, index)
);
COMMENT ON TABLE clinicq.audit_node IS 'Complete subtrees of 1024 leaves and more, so that a proof needs few reads.';
COMMENT ON COLUMN clinicq.audit_node.level IS 'It has 2^level leaves.';
COMMENT ON COLUMN clinicq.audit_node.index IS 'Its first leaf is index * 2^level.';
COMMENT ON COLUMN clinicq.audit_node.hash IS 'SHA-256 of a one byte and the two hashes below.';

CREATE TABLE clinicq.audit_seal (
    id bigint PRIMARY KEY,
    size bigint NOT NULL,
    previous_size bigint NOT NULL,
    root bytea NOT NULL,
    previous_hash bytea NOT NULL,
    at timestamptz NOT NULL,
    floor bigint NOT NULL,
    system_identifier text NOT NULL,
    public_key bytea,
    signature bytea,
    hash bytea NOT NULL
);
COMMENT ON TABLE clinicq.audit_seal IS 'The seals: each says how large the tree was, with which root, and follows the one before.';
COMMENT ON COLUMN clinicq.audit_seal.id IS 'Number, from 1, without gap.';
COMMENT ON COLUMN clinicq.audit_seal.size IS 'Leaves of the tree.';
COMMENT ON COLUMN clinicq.audit_seal.previous_size IS 'Leaves at the seal before.';
COMMENT ON COLUMN clinicq.audit_seal.root IS 'Root of the tree.';
COMMENT ON COLUMN clinicq.audit_seal.previous_hash IS 'Hash of the seal before; zeros for the first.';
COMMENT ON COLUMN clinicq.audit_seal.at IS 'When.';
COMMENT ON COLUMN clinicq.audit_seal.floor IS 'Every event whose id is not above this is sealed.';
COMMENT ON COLUMN clinicq.audit_seal.system_identifier IS 'Of the database cluster.';
COMMENT ON COLUMN clinicq.audit_seal.public_key IS 'Ed25519 key that the signature belongs to; NULL where none was configured.';
COMMENT ON COLUMN clinicq.audit_seal.signature IS 'Ed25519 signature of the seal''s text.';
COMMENT ON COLUMN clinicq.audit_seal.hash IS 'SHA-256 of the seal''s text.';
