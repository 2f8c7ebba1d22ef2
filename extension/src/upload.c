/*
 * upload.c: an image comes in pieces, each in a transaction of its own, so that a slow line holds
 * nothing. What has to be known of one piece for the next stands in its row: the running hashes,
 * and where in a JPEG's segments it ended.
 */
#include "upload.h"

#include <sodium.h>

#include "actor.h"
#include "cache.h"
#include "common/base64.h"
#include "dispatch.h"
#include "error.h"
#include "fields.h"
#include "fmgr.h"
#include "image_type.h"
#include "jpeg.h"
#include "json.h"
#include "keeper.h"
#include "query.h"
#include "reply.h"
#include "setting.h"

PG_FUNCTION_INFO_V1(clinicq_api_take_upload);

#define CODE       16
#define PIECE_MAX  (1024 * 1024)
#define FORM_EXTRA 65536 /* of a body beyond its image */
#define TIDY_ROWS  20    /* removed beside each new one */
#define IN_USE     "used_at > now() - make_interval(mins => $2)"

/* One that stands still, as when its line was lost, does not keep its user from the next one. */
QUERY(uploads_open,
      "SELECT count(*) FROM clinicq.upload WHERE user_id = $1"
      " AND used_at > now() - interval '1 minute'",
      INT8OID);
QUERY(upload_begin,
      "INSERT INTO clinicq.upload (id, user_id, original_state, stored_state)"
      " VALUES ($1, $2, $3, $3)",
      BYTEAOID, INT8OID, BYTEAOID);
QUERY(upload_lock,
      "SELECT received, stored, media_type, strip_state, held, original_state, stored_state"
      " FROM clinicq.upload WHERE id = $1 AND " IN_USE
      " AND user_id = $3 AND original_sha256 IS NULL FOR UPDATE",
      BYTEAOID, INT4OID, INT8OID);
QUERY(upload_advance,
      "UPDATE clinicq.upload SET received = $2, stored = $3, media_type = $4, strip_state = $5,"
      " held = $6, original_state = $7, stored_state = $8, original_sha256 = $9, used_at = now()"
      " WHERE id = $1",
      BYTEAOID, INT8OID, INT8OID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID);
QUERY(chunk_add, "INSERT INTO clinicq.upload_chunk (upload_id, start, bytes) VALUES ($1, $2, $3)",
      BYTEAOID, INT8OID, BYTEAOID);
QUERY(upload_whole,
      "SELECT id, original_sha256, stored_state, received, stored, media_type FROM clinicq.upload"
      " WHERE user_id = $1 AND " IN_USE
      " AND original_sha256 = $3 ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED",
      INT8OID, INT4OID, BYTEAOID);
QUERY(chunks_copy,
      "INSERT INTO clinicq.image_chunk (image_id, start, bytes)"
      " SELECT $2, start, bytes FROM clinicq.upload_chunk WHERE upload_id = $1 ORDER BY start",
      BYTEAOID, INT8OID);
QUERY(upload_drop, "DELETE FROM clinicq.upload WHERE id = $1 AND user_id = $2", BYTEAOID, INT8OID);
QUERY(upload_delete, "DELETE FROM clinicq.upload WHERE id = $1", BYTEAOID);
QUERY(uploads_delete,
      "DELETE FROM clinicq.upload WHERE ctid = ANY (ARRAY(SELECT ctid FROM clinicq.upload"
      " WHERE used_at <= now() - make_interval(mins => $1) ORDER BY used_at LIMIT $2"
      " FOR UPDATE SKIP LOCKED))",
      INT4OID, INT4OID);

/* One upload between two pieces. */
typedef struct Progress {
    Datum id;
    int64 received, stored;
    const char *media_type; /* NULL before the first piece */
    JpegStrip strip;
    bytea *held; /* NULL: nothing */
    crypto_hash_sha256_state original, kept;
} Progress;

static Datum bytes_datum(const void *bytes, size_t length) {
    bytea *value = palloc(VARHDRSZ + length);

    SET_VARSIZE(value, VARHDRSZ + length);
    memcpy(VARDATA(value), bytes, length);
    return PointerGetDatum(value);
}

/* Bytes from just as many hexadecimal digits; false where it is anything else. */
static bool read_hex(const char *digits, unsigned char *bytes, size_t length) {
    size_t got;

    return strlen(digits) == 2 * length &&
           sodium_hex2bin(bytes, length, digits, 2 * length, NULL, &got, NULL) == 0 &&
           got == length;
}

uint32 upload_roles(void) {
    uint32 roles = ROLE_ADMIN | ROLE_DOCTOR;

    cache_require_ready();
    return setting_is(SETTING_ASSISTANTS_UPLOAD_IMAGES, "on") ? roles | ROLE_ASSISTANT : roles;
}

static int64 size_limit(void) {
    return (int64) setting_int(SETTING_IMAGE_LIMIT_MIB) * 1024 * 1024;
}

static void check_size(int64 size, int64 limit) {
    if (size > limit)
        ereport(ERROR, errcode(ERRCODE_CQ_TOO_LARGE),
                errmsg("the image is larger than %d MiB", setting_int(SETTING_IMAGE_LIMIT_MIB)));
}

static void check_form(void) {
    const char *fault = request_body_fault();

    if (fault != NULL && strcmp(fault, "media-type") == 0)
        ereport(ERROR, errcode(ERRCODE_CQ_MEDIA_TYPE),
                errmsg("an image is sent as multipart/form-data"));
    if (fault != NULL)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                errmsg("the body is not a well-formed multipart form with an image"));
}

static void check_uploads_of_user(void) {
    Datum args[1] = {Int64GetDatum(actor_current()->user_id)};

    query_write(&uploads_open, args, NULL);
    if (row_int64(0, 1) >= setting_int(SETTING_UPLOADS_OF_USER))
        ereport(ERROR, errcode(ERRCODE_CQ_TOO_MANY), errmsg("too many images are being sent"),
                errdetail("{\"detail\":\"You are sending too many images at once; try again when "
                          "some are done.\",\"retry_after\":5}"));
}

static Datum begin(Fields *query) {
    StringInfo json = makeStringInfo();
    unsigned char code[CODE];
    char digits[2 * CODE + 1];
    crypto_hash_sha256_state state;
    Datum args[3];
    Datum length = 0;

    check_form();
    query_id(query, "length", &length);
    faults_raise(query->faults);
    check_size(DatumGetInt64(length), size_limit() + FORM_EXTRA);
    randombytes_buf(code, sizeof code);
    crypto_hash_sha256_init(&state);
    SPI_connect();
    uploads_purge(TIDY_ROWS);
    check_uploads_of_user();
    args[0] = bytes_datum(code, sizeof code);
    args[1] = Int64GetDatum(actor_current()->user_id);
    args[2] = bytes_datum(&state, sizeof state);
    query_write(&upload_begin, args, NULL);
    SPI_finish();
    appendStringInfoChar(json, '{');
    json_text(json, "upload", sodium_bin2hex(digits, sizeof digits, code, sizeof code));
    appendStringInfoChar(json, '}');
    return reply(200, json, NULL);
}

static void read_state(uint64 row, int column, void *state, size_t size) {
    bool isnull;
    Datum value = row_value(row, column, &isnull);
    bytea *bytes = isnull ? NULL : DatumGetByteaPP(value);

    memset(state, 0, size);
    if (bytes != NULL && VARSIZE_ANY_EXHDR(bytes) == size)
        memcpy(state, VARDATA_ANY(bytes), size);
}

static void find_progress(const char *digits, Progress *progress) {
    unsigned char code[CODE];
    Datum args[3];
    bool isnull;
    Datum held;

    if (!read_hex(digits, code, sizeof code))
        error_not_found("upload", digits);
    progress->id = args[0] = bytes_datum(code, sizeof code);
    args[1] = Int32GetDatum(setting_int(SETTING_UPLOAD_MINUTES));
    args[2] = Int64GetDatum(actor_current()->user_id);
    if (query_write(&upload_lock, args, NULL) == 0)
        error_not_found("upload", digits);
    progress->received = row_int64(0, 1);
    progress->stored = row_int64(0, 2);
    progress->media_type = row_text(0, 3);
    read_state(0, 4, &progress->strip, sizeof progress->strip);
    held = row_value(0, 5, &isnull);
    progress->held = isnull ? NULL : DatumGetByteaPCopy(held);
    read_state(0, 6, &progress->original, sizeof progress->original);
    read_state(0, 7, &progress->kept, sizeof progress->kept);
}

static void keep(Progress *progress, const unsigned char *bytes, size_t length) {
    Datum args[3] = {progress->id, Int64GetDatum(progress->stored), bytes_datum(bytes, length)};

    if (length == 0)
        return;
    query_write(&chunk_add, args, NULL);
    crypto_hash_sha256_update(&progress->kept, bytes, length);
    progress->stored += (int64) length;
}

/* What was held of the last piece, and this one. */
static void keep_of_jpeg(Progress *progress, const unsigned char *bytes, size_t length) {
    size_t before = progress->held ? VARSIZE(progress->held) - VARHDRSZ : 0;
    unsigned char *in = palloc(before + length + 1);
    unsigned char *out = palloc(before + length + JPEG_GROWTH);
    size_t used, written;

    if (before > 0)
        memcpy(in, VARDATA(progress->held), before);
    memcpy(in + before, bytes, length);
    used = jpeg_strip(&progress->strip, in, before + length, out, &written);
    keep(progress, out, written);
    progress->held = used < before + length
                         ? DatumGetByteaP(bytes_datum(in + used, before + length - used))
                         : NULL;
    pfree(in);
    pfree(out);
}

static void add_piece(Progress *progress, const unsigned char *bytes, size_t length) {
    if (length == 0)
        return;
    if (progress->media_type == NULL)
        progress->media_type = image_type(bytes, length);
    if (progress->media_type == NULL)
        ereport(ERROR, errcode(ERRCODE_CQ_MEDIA_TYPE),
                errmsg("the file is none of JPEG, PNG, WebP, HEIC and PDF"));
    progress->received += (int64) length;
    check_size(progress->received, size_limit());
    crypto_hash_sha256_update(&progress->original, bytes, length);
    if (strcmp(progress->media_type, IMAGE_JPEG) == 0)
        keep_of_jpeg(progress, bytes, length);
    else
        keep(progress, bytes, length);
}

static void check_whole(const Progress *progress) {
    if (progress->received == 0)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST), errmsg("the image is empty"));
    if (strcmp(progress->media_type, IMAGE_JPEG) == 0 && !jpeg_is_whole(&progress->strip))
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                errmsg("the image is not a whole JPEG file"));
}

static void store_progress(const Progress *progress, const unsigned char *original_sha256) {
    Datum args[9] = {progress->id,
                     Int64GetDatum(progress->received),
                     Int64GetDatum(progress->stored),
                     progress->media_type ? CStringGetTextDatum(progress->media_type) : (Datum) 0,
                     bytes_datum(&progress->strip, sizeof progress->strip),
                     PointerGetDatum(progress->held),
                     bytes_datum(&progress->original, sizeof progress->original),
                     bytes_datum(&progress->kept, sizeof progress->kept),
                     original_sha256 ? bytes_datum(original_sha256, IMAGE_HASH) : (Datum) 0};
    char nulls[] = "         ";

    for (int i = 3; i < lengthof(args); i++)
        if (args[i] == (Datum) 0)
            nulls[i] = 'n';
    query_write(&upload_advance, args, nulls);
}

/* The bytes of a text in base64. */
static unsigned char *read_piece(FunctionCallInfo fcinfo, size_t *length) {
    text *base64 = PG_ARGISNULL(2) ? cstring_to_text("") : PG_GETARG_TEXT_PP(2);
    int size = VARSIZE_ANY_EXHDR(base64);
    char *bytes = palloc(pg_b64_dec_len(size) + 1);
    int got = pg_b64_decode(VARDATA_ANY(base64), size, bytes, pg_b64_dec_len(size));

    if (got < 0 || got > PIECE_MAX)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST), errmsg("the piece is not in base64"));
    *length = (size_t) got;
    return (unsigned char *) bytes;
}

static Datum add(FunctionCallInfo fcinfo, Fields *query, const char *digits) {
    MemoryContext caller = CurrentMemoryContext;
    size_t length;
    unsigned char *bytes = read_piece(fcinfo, &length);
    unsigned char sha256[IMAGE_HASH];
    char hash_digits[2 * IMAGE_HASH + 1];
    bool last = query_text(query, "last") != NULL;
    Progress progress;
    StringInfo json;
    Datum offset = 0;

    query_id(query, "offset", &offset);
    faults_raise(query->faults);
    SPI_connect();
    find_progress(digits, &progress);
    if (progress.received != DatumGetInt64(offset))
        ereport(ERROR, errcode(ERRCODE_CQ_CONFLICT),
                errmsg("the upload has come to another offset"));
    add_piece(&progress, bytes, length);
    if (last) {
        crypto_hash_sha256_state original = progress.original;

        check_whole(&progress);
        crypto_hash_sha256_final(&original, sha256);
    }
    store_progress(&progress, last ? sha256 : NULL);
    SPI_finish();
    if (!last)
        return reply(204, NULL, NULL);
    MemoryContextSwitchTo(caller);
    json = makeStringInfo();
    appendStringInfoChar(json, '{');
    json_text(json, "sha256",
              sodium_bin2hex(hash_digits, sizeof hash_digits, sha256, sizeof sha256));
    appendStringInfoChar(json, '}');
    return reply(200, json, NULL);
}

/* Nothing comes of it. */
static Datum drop(const char *digits) {
    unsigned char code[CODE];
    Datum args[2];

    if (!read_hex(digits, code, sizeof code))
        error_not_found("upload", digits);
    args[0] = bytes_datum(code, sizeof code);
    args[1] = Int64GetDatum(actor_current()->user_id);
    SPI_connect();
    query_write(&upload_drop, args, NULL);
    SPI_finish();
    return reply(204, NULL, NULL);
}

Datum clinicq_api_take_upload(PG_FUNCTION_ARGS) {
    Fields *query;
    char *digits;

    actor_require(upload_roles());
    if (actor_current()->user_id == 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
                errmsg("images are sent over HTTP, by a user"));
    query = fields_of_query(fcinfo);
    digits = query_text(query, "upload");
    if (digits == NULL)
        return begin(query);
    return query_text(query, "drop") != NULL ? drop(digits) : add(fcinfo, query, digits);
}

void upload_take(const char *original_sha256, Upload *upload) {
    unsigned char hash[IMAGE_HASH];
    crypto_hash_sha256_state kept;
    Datum args[3] = {Int64GetDatum(actor_current()->user_id),
                     Int32GetDatum(setting_int(SETTING_UPLOAD_MINUTES))};
    bool isnull;

    if (!read_hex(original_sha256, hash, sizeof hash))
        error_not_found("upload", original_sha256);
    args[2] = bytes_datum(hash, sizeof hash);
    if (query_write(&upload_whole, args, NULL) == 0)
        error_not_found("upload", original_sha256);
    upload->id = row_value(0, 1, &isnull);
    upload->original_sha256 = row_value(0, 2, &isnull);
    read_state(0, 3, &kept, sizeof kept);
    upload->received = row_int64(0, 4);
    upload->stored = row_int64(0, 5);
    upload->media_type = row_text(0, 6);
    crypto_hash_sha256_final(&kept, hash);
    upload->sha256 = bytes_datum(hash, sizeof hash);
}

void upload_copy(const Upload *upload, int64 image_id) {
    Datum args[2] = {upload->id, Int64GetDatum(image_id)};

    query_write(&chunks_copy, args, NULL);
}

void upload_remove(const Upload *upload) {
    Datum args[1] = {upload->id};

    query_write(&upload_delete, args, NULL);
}

uint64 uploads_purge(int32 limit) {
    Datum args[2] = {Int32GetDatum(setting_int(SETTING_UPLOAD_MINUTES)), Int32GetDatum(limit)};

    return query_write(&uploads_delete, args, NULL);
}
