-- A standby that takes over, or a backup that is restored, may lack the last positions that readers have seen.
CREATE TABLE clinicq.feed_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_identifier text NOT NULL,
    timeline integer NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clinicq.feed_history IS 'The histories of the database in which positions of the feed were given, the last row is now''s. Positions of a new one begin far behind those of the one before, so that none of them is taken for one that a reader has seen.';
COMMENT ON COLUMN clinicq.feed_history.id IS 'In their order.';
COMMENT ON COLUMN clinicq.feed_history.system_identifier IS 'Of the database cluster: another one after a restored dump.';
COMMENT ON COLUMN clinicq.feed_history.timeline IS 'Another one after each failover and each restored backup.';
COMMENT ON COLUMN clinicq.feed_history.begun_at IS 'When its first position was given.';
