-- Pictures by content, in pieces that no backend has to hold together; a slice of one is read without the rest.
CREATE TABLE clinicq.image (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    size bigint NOT NULL CHECK (size > 0),
    media_type text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png', 'image/webp', 'image/heic', 'application/pdf')),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clinicq.image IS 'Images, each once, whoever sent it.';
COMMENT ON COLUMN clinicq.image.id IS 'Key.';
COMMENT ON COLUMN clinicq.image.sha256 IS 'SHA-256 of its bytes: the address by content, and the check.';
COMMENT ON COLUMN clinicq.image.size IS 'Bytes.';
COMMENT ON COLUMN clinicq.image.media_type IS 'As found from its first bytes.';
COMMENT ON COLUMN clinicq.image.created_at IS 'When it was stored.';

CREATE TABLE clinicq.image_chunk (
    image_id bigint NOT NULL REFERENCES clinicq.image ON DELETE CASCADE,
    start bigint NOT NULL CHECK (start >= 0),
    bytes bytea NOT NULL CHECK (octet_length(bytes) BETWEEN 1 AND 1048576),
    PRIMARY KEY (image_id, start)
);
ALTER TABLE clinicq.image_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE clinicq.image_chunk IS 'The bytes of images, in pieces.';
COMMENT ON COLUMN clinicq.image_chunk.image_id IS 'The image.';
COMMENT ON COLUMN clinicq.image_chunk.start IS 'Where in the image the piece begins.';
COMMENT ON COLUMN clinicq.image_chunk.bytes IS 'The piece; never compressed, so that a slice is read alone.';

CREATE TABLE clinicq.prescription (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    visit_id bigint NOT NULL REFERENCES clinicq.visit,
    image_id bigint REFERENCES clinicq.image,
    original_sha256 bytea CHECK (octet_length(original_sha256) = 32),
    original_size bigint CHECK (original_size > 0),
    created_by_id bigint,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    CHECK (num_nulls(image_id, original_sha256, original_size) IN (0, 3)),
    CHECK (image_id IS NOT NULL OR removed_at IS NOT NULL)
);
COMMENT ON TABLE clinicq.prescription IS 'An image that belongs to a visit: what a doctor wrote.';
COMMENT ON COLUMN clinicq.prescription.id IS 'Key.';
COMMENT ON COLUMN clinicq.prescription.visit_id IS 'The visit.';
COMMENT ON COLUMN clinicq.prescription.image_id IS 'The image; NULL once the patient was erased.';
COMMENT ON COLUMN clinicq.prescription.original_sha256 IS 'SHA-256 of the file as it was sent, before metadata was taken out of it.';
COMMENT ON COLUMN clinicq.prescription.original_size IS 'Bytes of that file.';
COMMENT ON COLUMN clinicq.prescription.created_by_id IS 'The user who sent it.';
COMMENT ON COLUMN clinicq.prescription.created_by IS 'Name of who did.';
COMMENT ON COLUMN clinicq.prescription.created_at IS 'When.';
COMMENT ON COLUMN clinicq.prescription.removed_at IS 'When it was hidden; NULL otherwise. It is never deleted.';
COMMENT ON COLUMN clinicq.prescription.version IS 'Counts the changes of this row.';
CREATE UNIQUE INDEX prescription_once ON clinicq.prescription (visit_id, image_id) WHERE removed_at IS NULL;
COMMENT ON INDEX clinicq.prescription_once IS 'One image is one prescription of a visit, however often it is sent; the prescriptions of a visit.';
CREATE INDEX prescription_of_image ON clinicq.prescription (image_id) WHERE image_id IS NOT NULL;
COMMENT ON INDEX clinicq.prescription_of_image IS 'Whether an image is still used when a patient is erased.';
CREATE INDEX prescription_of_visit ON clinicq.prescription (visit_id);
COMMENT ON INDEX clinicq.prescription_of_visit IS 'Erasing a patient, hidden prescriptions included.';

-- What a crash of the server takes away had not been acknowledged, so neither is in the write-ahead log.
CREATE UNLOGGED TABLE clinicq.upload (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    user_id bigint NOT NULL REFERENCES clinicq.app_user ON DELETE CASCADE,
    received bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
    stored bigint NOT NULL DEFAULT 0 CHECK (stored >= 0),
    media_type text,
    strip_state bytea,
    held bytea CHECK (octet_length(held) <= 65537),
    original_state bytea,
    stored_state bytea,
    original_sha256 bytea,
    started_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE clinicq.upload ALTER COLUMN held SET STORAGE EXTERNAL;
COMMENT ON TABLE clinicq.upload IS 'Images on their way; removed when they have become a prescription, or some minutes after their last piece.';
COMMENT ON COLUMN clinicq.upload.id IS '128 random bits.';
COMMENT ON COLUMN clinicq.upload.user_id IS 'Who sends it; nobody else can go on with it.';
COMMENT ON COLUMN clinicq.upload.received IS 'Bytes that have come.';
COMMENT ON COLUMN clinicq.upload.stored IS 'Bytes of them that stay.';
COMMENT ON COLUMN clinicq.upload.media_type IS 'As found from its first bytes; NULL before them.';
COMMENT ON COLUMN clinicq.upload.strip_state IS 'Of a JPEG: where in its segments taking out metadata has come to.';
COMMENT ON COLUMN clinicq.upload.held IS 'Of a JPEG: the beginning of a segment whose rest is to come.';
COMMENT ON COLUMN clinicq.upload.original_state IS 'The running SHA-256 of what has come.';
COMMENT ON COLUMN clinicq.upload.stored_state IS 'The running SHA-256 of what stays.';
COMMENT ON COLUMN clinicq.upload.original_sha256 IS 'SHA-256 of what has come, once it is whole; NULL until then.';
COMMENT ON COLUMN clinicq.upload.started_at IS 'When it began.';
COMMENT ON COLUMN clinicq.upload.used_at IS 'When its last piece came.';
CREATE INDEX upload_of_user ON clinicq.upload (user_id, original_sha256);
COMMENT ON INDEX clinicq.upload_of_user IS 'A whole image that is to become a prescription; how many uploads a user has open.';
CREATE INDEX upload_age ON clinicq.upload (used_at);
COMMENT ON INDEX clinicq.upload_age IS 'Removing what was given up.';

CREATE UNLOGGED TABLE clinicq.upload_chunk (
    upload_id bytea NOT NULL REFERENCES clinicq.upload ON DELETE CASCADE,
    start bigint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (upload_id, start)
);
ALTER TABLE clinicq.upload_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE clinicq.upload_chunk IS 'The bytes of images on their way.';
COMMENT ON COLUMN clinicq.upload_chunk.upload_id IS 'The upload.';
COMMENT ON COLUMN clinicq.upload_chunk.start IS 'Where in the image the piece begins.';
COMMENT ON COLUMN clinicq.upload_chunk.bytes IS 'The piece.';

CREATE TABLE clinicq.signing_key (
    name text PRIMARY KEY,
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE clinicq.signing_key IS 'Keys that addresses are signed with; migrate() makes what is missing. To make all signed addresses void, delete the row and call clinicq.migrate().';
COMMENT ON COLUMN clinicq.signing_key.name IS 'What it signs: image, the addresses of images.';
COMMENT ON COLUMN clinicq.signing_key.key IS 'Of HMAC-SHA-256. Only the extension reads it.';
COMMENT ON COLUMN clinicq.signing_key.created_at IS 'When it was made.';

ALTER TABLE clinicq.route DROP CONSTRAINT route_body_check, ADD CONSTRAINT route_body_check CHECK (body IN ('none', 'fields', 'file')),
    ADD COLUMN intake text CHECK (intake ~ '^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$'),
    ADD COLUMN ranges boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT route_file_check CHECK ((body = 'file') = (intake IS NOT NULL));
COMMENT ON COLUMN clinicq.route.body IS 'none: a body is dropped unread; fields: a JSON object or a form; file: a form with one file, which intake takes piece by piece.';
COMMENT ON COLUMN clinicq.route.intake IS 'The function that takes a file, of the same arguments: without upload in the query it begins one, before the body is read, and returns {"upload": id}; then each piece is the body in base64, at offset; the one with last returns what stands for the file in the body of the route''s own function; drop gives it up.';
COMMENT ON COLUMN clinicq.route.ranges IS 'Whether the headers Range and If-Range become the members range and if_range of the query.';
