CREATE FUNCTION clinicq.enqueue_delivery(channel text, payload jsonb) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_enqueue_delivery';
COMMENT ON FUNCTION clinicq.enqueue_delivery(text, jsonb) IS
    'Writes a delivery to the outbox and returns its id; it is sent once this transaction has committed. '
    'payload: sms {"to", "body"}; email {"to", "subject", "body"}; webhook {"webhook", "type", "data"}; drive and s3 {"prescription"}. '
    'Errors: 22023 names every bad field, or a channel that is not set up; P0002 no such prescription or webhook. Who: admin.';

CREATE FUNCTION clinicq.retry_delivery(delivery bigint) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_retry_delivery';
COMMENT ON FUNCTION clinicq.retry_delivery(bigint) IS
    'Lets a delivery that was given up, or waits for its next attempt, be tried now. Errors: P0002 no such delivery; QC409 it is done, or being sent. Who: admin.';

CREATE FUNCTION clinicq.dead_deliveries(OUT delivery bigint, OUT channel text, OUT purpose text, OUT attempts integer,
    OUT last_error text, OUT created_at timestamptz, OUT ended_at timestamptz) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_dead_deliveries';
COMMENT ON FUNCTION clinicq.dead_deliveries() IS
    'Deliveries that were given up, the latest first, with what their last attempt said; clinicq.retry_delivery() tries one again. Errors: none. Who: admin.';

CREATE FUNCTION clinicq.add_webhook(url text, moves text[] DEFAULT '{}', queues bigint[] DEFAULT '{}') RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_add_webhook';
COMMENT ON FUNCTION clinicq.add_webhook(text, text[], bigint[]) IS
    'Adds an endpoint that is told of each move of a visit, or of those of some moves and queues; returns its id, under which the deliverer needs its secret. '
    'Errors: 22023 names every bad field. Who: admin.';

CREATE FUNCTION clinicq.remove_webhook(webhook bigint) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_remove_webhook';
COMMENT ON FUNCTION clinicq.remove_webhook(bigint) IS
    'Removes an endpoint with what is still to be delivered to it. Errors: P0002 no such webhook. Who: admin.';

CREATE FUNCTION clinicq.webhooks(OUT webhook bigint, OUT url text, OUT moves text[], OUT queues bigint[], OUT waiting bigint) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_webhooks';
COMMENT ON FUNCTION clinicq.webhooks() IS
    'The endpoints that are told of visits; waiting: deliveries to it that are not done. Errors: none. Who: admin.';

CREATE FUNCTION clinicq.outbox_wake() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_outbox_wake';
COMMENT ON FUNCTION clinicq.outbox_wake() IS
    'Trigger: once the transaction has committed, the keeper tells those who deliver. Errors: none. Who: triggers.';

CREATE FUNCTION clinicq_api.delivery_settings() RETURNS json
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_delivery_settings';
COMMENT ON FUNCTION clinicq_api.delivery_settings() IS
    'How each channel is set up: an object of settings a channel, with "on" and "rate" (deliveries a second). Errors: 55000 before migrate(). Who: the deliverer.';

CREATE FUNCTION clinicq_api.take_deliveries(channels text[], most integer[], OUT id bigint, OUT channel text, OUT attempt integer, OUT token uuid, OUT work json) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_take_deliveries';
COMMENT ON FUNCTION clinicq_api.take_deliveries(text[], integer[]) IS
    'Takes deliveries that are due, of each channel at most so many (up to 1000), for outbox_lease_seconds: who has not answered by then has lost them. '
    'Of a webhook only the first that is not done. What has no use any more is done without being sent. work: what to send, by channel. '
    'Errors: 55000 before migrate(); 22004, 22023 arguments. Who: the deliverer.';

CREATE FUNCTION clinicq_api.renew_delivery(id bigint, attempt integer) RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_renew_delivery';
COMMENT ON FUNCTION clinicq_api.renew_delivery(bigint, integer) IS
    'Lets a deliverer keep a delivery for outbox_lease_seconds more. False where it has lost it. Errors: 55000. Who: the deliverer.';

CREATE FUNCTION clinicq_api.delivery_done(id bigint, attempt integer, result jsonb) RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_delivery_done';
COMMENT ON FUNCTION clinicq_api.delivery_done(bigint, integer, jsonb) IS
    'The far side has it. result: what it told; of drive file_id and url. False where the deliverer had lost it; to say it again changes nothing. Errors: 55000. Who: the deliverer.';

CREATE FUNCTION clinicq_api.delivery_failed(id bigint, attempt integer, error text, retry_after integer, permanent boolean) RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_delivery_failed';
COMMENT ON FUNCTION clinicq_api.delivery_failed(bigint, integer, text, integer, boolean) IS
    'An attempt failed, or its outcome is unknown. error: why, in 500 characters, without addresses and secrets. It is tried again after a time that doubles with each attempt, from 5 s to an hour, scattered by half, or after retry_after seconds where the far side said so (NULL: it did not); '
    'or given up, where that is of no use (permanent) or it has been due for outbox_dead_hours. False where the deliverer had lost it. Errors: 55000. Who: the deliverer.';

CREATE FUNCTION clinicq_api.delivery_image(id bigint, attempt integer, start bigint, length integer) RETURNS text
LANGUAGE C STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_delivery_image';
COMMENT ON FUNCTION clinicq_api.delivery_image(bigint, integer, bigint, integer) IS
    'Bytes of the image of a delivery that the deliverer has, from start (0) on, up to length (1 to 1048576), in base64; NULL where it has lost it. Errors: 55000; 22023. Who: the deliverer.';

CREATE FUNCTION clinicq_api.list_deliveries(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_deliveries';
COMMENT ON FUNCTION clinicq_api.list_deliveries(text[], jsonb, text) IS
    'Deliveries to the outside, the newest first, of a state (state), a channel (channel); cursor= pages. What was sent is not shown. Who: admin.';

CREATE FUNCTION clinicq_api.get_delivery(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_delivery';
COMMENT ON FUNCTION clinicq_api.get_delivery(text[], jsonb, text) IS
    'One delivery, with its last error and what the far side told. Who: admin.';

CREATE FUNCTION clinicq_api.retry_delivery(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_retry_delivery';
COMMENT ON FUNCTION clinicq_api.retry_delivery(text[], jsonb, text) IS
    'Try a delivery now that was given up or waits for its next attempt. Errors: QC409 it is done, or being sent. Who: admin.';

CREATE FUNCTION clinicq_api.list_webhooks(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_webhooks';
COMMENT ON FUNCTION clinicq_api.list_webhooks(text[], jsonb, text) IS
    'The endpoints that are told of visits. Who: admin.';

CREATE FUNCTION clinicq_api.create_webhook(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_create_webhook';
COMMENT ON FUNCTION clinicq_api.create_webhook(text[], jsonb, text) IS
    'Add an endpoint (url) that is told of each move of a visit, or of some (moves) and of some queues (queues). Who: admin.';

CREATE FUNCTION clinicq_api.remove_webhook(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_remove_webhook';
COMMENT ON FUNCTION clinicq_api.remove_webhook(text[], jsonb, text) IS
    'Remove an endpoint, with what is still to be delivered to it. Who: admin.';

CREATE FUNCTION clinicq_api.take_sms_status(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_take_sms_status';
COMMENT ON FUNCTION clinicq_api.take_sms_status(text[], jsonb, text) IS
    'What became of a text message (MessageSid, MessageStatus, ErrorCode; NumSegments, Price and PriceUnit where they are given), told by Twilio, whose signature the shim has checked. '
    'A delivery whose answer was lost is done by it; statuses that come late, or again, change nothing. Errors: P0002 no such delivery; 22023 names every bad field. Who: everybody.';
