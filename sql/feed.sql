CREATE FUNCTION clinicq.feed_wake() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_feed_wake';
COMMENT ON FUNCTION clinicq.feed_wake() IS
    'Trigger: once the transaction has committed, the keeper is woken to give its events their places in the feed. Errors: none. Who: triggers.';

CREATE FUNCTION clinicq_api.feed_advance(OUT "position" bigint, OUT keeper boolean)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_feed_advance';
COMMENT ON FUNCTION clinicq_api.feed_advance() IS
    'Gives committed events that have none their positions in the feed, and listeners of the channel clinicq_feed a notice (one that names a user tells that a session of this user has ended). position: the last one of the feed, 0 if there is none; keeper: whether a keeper does the same as soon as there is something to do, so that asking once a second is enough. '
    'Errors: 55000 before migrate(). Who: the shim.';

CREATE FUNCTION clinicq_api.feed(after bigint, most integer, OUT "position" bigint, OUT topic bigint, OUT age bigint, OUT staff text, OUT display text) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_feed';
COMMENT ON FUNCTION clinicq_api.feed(bigint, integer) IS
    'Events behind a position, in order, at most so many (up to 1000). topic: the queue; age: microseconds since its transaction began; staff and display: JSON objects for these, with the names that they may see; who restricted patients are is told to neither. '
    'Errors: 55000 before migrate(); 22004 an argument is NULL. Who: the shim.';
