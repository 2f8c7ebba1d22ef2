-- A period of the sealed log is found without reading all of it. BRIN: leaves come about in the order of time.
CREATE INDEX audit_leaf_event_at ON clinicq.audit_leaf USING brin (event_at) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON INDEX clinicq.audit_leaf_event_at IS 'Exports and verify() of a period: which positions of the tree it has.';
CREATE INDEX audit_seal_size ON clinicq.audit_seal (size);
COMMENT ON INDEX clinicq.audit_seal_size IS 'Exports and verify() of a period: the seals round a position.';
