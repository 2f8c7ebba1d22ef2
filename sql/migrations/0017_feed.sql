-- What happens to visits, as a feed: its order is the order in which events became visible.
CREATE SEQUENCE clinicq.feed_position;
COMMENT ON SEQUENCE clinicq.feed_position IS 'The last position of the feed that was given to an event.';

ALTER TABLE clinicq.visit_event ADD COLUMN position bigint;
COMMENT ON COLUMN clinicq.visit_event.position IS 'Place in the feed, given after commit by one assigner at a time; NULL until then. Whoever has read up to a position misses nothing behind it.';
UPDATE clinicq.visit_event e SET position = o.position
FROM (SELECT id, nextval('clinicq.feed_position') AS position FROM (SELECT id FROM clinicq.visit_event ORDER BY id) AS i) AS o
WHERE e.id = o.id;
CREATE UNIQUE INDEX visit_event_position ON clinicq.visit_event (position) WHERE position IS NOT NULL;
COMMENT ON INDEX clinicq.visit_event_position IS 'The feed in its order.';
CREATE INDEX visit_event_unplaced ON clinicq.visit_event (id) WHERE position IS NULL;
COMMENT ON INDEX clinicq.visit_event_unplaced IS 'What the assigner of positions has not seen yet.';
