-- What has to reach the outside, each a row of the transaction that causes it, so that neither is there without the other.
CREATE TABLE clinicq.webhook (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL CHECK (url ~ '^https?://[^[:space:]]+$' AND length(url) <= 2000),
    moves text[] NOT NULL DEFAULT '{}' CHECK (array_position(moves, NULL) IS NULL),
    queues bigint[] NOT NULL DEFAULT '{}' CHECK (array_position(queues, NULL) IS NULL),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE clinicq.webhook IS 'Endpoints of others that are told of visits; each gets what happened in its order.';
COMMENT ON COLUMN clinicq.webhook.id IS 'Key, under which the deliverer has the endpoint''s secret.';
COMMENT ON COLUMN clinicq.webhook.url IS 'Where it is told.';
COMMENT ON COLUMN clinicq.webhook.moves IS 'Of which moves, as in visit_event.move; empty for all.';
COMMENT ON COLUMN clinicq.webhook.queues IS 'Of which queues; empty for all.';
COMMENT ON COLUMN clinicq.webhook.created_at IS 'When it was added.';
COMMENT ON COLUMN clinicq.webhook.updated_at IS 'When it was last changed.';
COMMENT ON COLUMN clinicq.webhook.version IS 'Counts the changes of this row.';

CREATE TABLE clinicq.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL CHECK (channel IN ('drive', 's3', 'sms', 'email', 'webhook')),
    purpose text NOT NULL CHECK (purpose ~ '^[a-z_]{1,40}$'),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'failed', 'done', 'dead')),
    token uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    payload jsonb NOT NULL DEFAULT '{}' CHECK (octet_length(payload::text) <= 65536),
    image_id bigint REFERENCES clinicq.image ON DELETE CASCADE,
    visit_id bigint REFERENCES clinicq.visit,
    user_id bigint REFERENCES clinicq.app_user,
    webhook_id bigint REFERENCES clinicq.webhook ON DELETE CASCADE,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    due_since timestamptz NOT NULL DEFAULT now(),
    last_error text CHECK (length(last_error) <= 500),
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CHECK ((state IN ('done', 'dead')) = (ended_at IS NOT NULL)),
    CHECK ((channel = 'webhook') = (webhook_id IS NOT NULL)),
    CHECK (image_id IS NULL OR channel IN ('drive', 's3'))
) WITH (fillfactor = 80);
COMMENT ON TABLE clinicq.outbox IS 'Deliveries to the outside: a row each, written by the transaction that causes it, sent by clinicq-shim deliver.';
COMMENT ON COLUMN clinicq.outbox.id IS 'Key; what goes to one webhook goes in this order, as far as it is committed.';
COMMENT ON COLUMN clinicq.outbox.channel IS 'drive, s3, sms, email or webhook.';
COMMENT ON COLUMN clinicq.outbox.purpose IS 'What it is about: image, remove_image, turn_near, room, password_reset, daily_summary, visit, manual.';
COMMENT ON COLUMN clinicq.outbox.state IS 'pending: not tried yet. sending: a deliverer has it until next_attempt_at. failed: will be tried again. done. dead: given up.';
COMMENT ON COLUMN clinicq.outbox.token IS 'The same at every attempt: by it the far side, or a look at it, tells a second one.';
COMMENT ON COLUMN clinicq.outbox.payload IS 'What is sent, as far as it is not found by the references beside it when it is sent; sent: hashes of the texts that attempts had.';
COMMENT ON COLUMN clinicq.outbox.image_id IS 'The image that is stored.';
COMMENT ON COLUMN clinicq.outbox.visit_id IS 'The visit that a message is about.';
COMMENT ON COLUMN clinicq.outbox.user_id IS 'The user that a message is for.';
COMMENT ON COLUMN clinicq.outbox.webhook_id IS 'The endpoint that is told.';
COMMENT ON COLUMN clinicq.outbox.attempts IS 'How often it was begun; names the attempt that a deliverer answers for.';
COMMENT ON COLUMN clinicq.outbox.next_attempt_at IS 'Not before then; of one that is being sent, when the deliverer has to have answered.';
COMMENT ON COLUMN clinicq.outbox.due_since IS 'When it was written, or tried anew by hand; counts for giving up.';
COMMENT ON COLUMN clinicq.outbox.last_error IS 'What the last attempt that failed said.';
COMMENT ON COLUMN clinicq.outbox.result IS 'What the far side told of it: ids, segments, price; {"withheld": reason} where it was not sent because it had no use any more.';
COMMENT ON COLUMN clinicq.outbox.created_at IS 'When it was written.';
COMMENT ON COLUMN clinicq.outbox.ended_at IS 'When it was done or given up.';
CREATE INDEX outbox_due ON clinicq.outbox (channel, next_attempt_at) WHERE state IN ('pending', 'sending', 'failed');
COMMENT ON INDEX clinicq.outbox_due IS 'What a deliverer takes next; the gauges.';
CREATE INDEX outbox_of_webhook ON clinicq.outbox (webhook_id, id) WHERE webhook_id IS NOT NULL AND state IN ('pending', 'sending', 'failed');
COMMENT ON INDEX clinicq.outbox_of_webhook IS 'The first of each endpoint, which alone may be sent.';
CREATE UNIQUE INDEX outbox_of_image ON clinicq.outbox (image_id, channel) WHERE image_id IS NOT NULL;
COMMENT ON INDEX clinicq.outbox_of_image IS 'An image is stored once, whoever sent it; erasing one.';
CREATE INDEX outbox_of_visit ON clinicq.outbox (visit_id) WHERE visit_id IS NOT NULL;
COMMENT ON INDEX clinicq.outbox_of_visit IS 'Erasing a patient.';
CREATE INDEX outbox_ended ON clinicq.outbox (ended_at) WHERE image_id IS NULL AND ended_at IS NOT NULL;
COMMENT ON INDEX clinicq.outbox_ended IS 'Removing what ended long ago.';
CREATE INDEX outbox_dead ON clinicq.outbox (id) WHERE state = 'dead';
COMMENT ON INDEX clinicq.outbox_dead IS 'Deliveries that were given up; the gauges.';

ALTER TABLE clinicq.image ADD COLUMN drive_file_id text, ADD COLUMN drive_url text;
COMMENT ON COLUMN clinicq.image.drive_file_id IS 'Its id in Google Drive; NULL until it was delivered there.';
COMMENT ON COLUMN clinicq.image.drive_url IS 'The address of Google Drive''s viewer for it; NULL until then.';
