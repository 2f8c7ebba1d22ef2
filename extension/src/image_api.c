/*
 * image_api.c: the bytes of an image, by its signed address: in pages, so that no backend holds
 * more than one of them, and a slow client holds no connection.
 */
#include "postgres.h"

#include "actor.h"
#include "common/base64.h"
#include "dispatch.h"
#include "error.h"
#include "etag.h"
#include "fields.h"
#include "image_address.h"
#include "image_type.h"
#include "json.h"
#include "look.h"
#include "prescription.h"
#include "query.h"
#include "reply.h"
#include "restriction.h"

PG_FUNCTION_INFO_V1(clinicq_api_get_image);

#define PAGE_BYTES   (256 * 1024)
#define ETAG_DIGITS  32
#define SECONDS_KEPT 300 /* by the browser that shows it */

QUERY(
    image_slice,
    "SELECT substring(bytes FROM (($2 - start) + 1)::integer FOR $3), start FROM clinicq.image_chunk"
    " WHERE image_id = $1 AND start <= $2 ORDER BY start DESC LIMIT 1",
    INT8OID, INT8OID, INT4OID);

/* What of the image is sent: the bytes from `from` up to but not with `end`. */
typedef struct Span {
    int64 from, end;
    bool is_part;
} Span;

/* False where the header is none that has to be looked at: another unit, several ranges, or wrong
 * (RFC 9110, 14.2); unsatisfiable: none of it is there. */
static bool read_range(const char *header, int64 size, Span *span, bool *unsatisfiable) {
    char *first = pstrdup(header);
    char *last;
    int64 from = 0, to = 0;

    if (pg_strncasecmp(first, "bytes=", 6) != 0)
        return false;
    first += 6;
    last = strchr(first, '-');
    if (last == NULL)
        return false;
    *last++ = '\0';
    if (strspn(first, "0123456789") != strlen(first) ||
        strspn(last, "0123456789") != strlen(last) || (*first == '\0' && *last == '\0'))
        return false;
    if (*first != '\0' && !parse_int64(first, &from))
        from = PG_INT64_MAX;
    if (*last != '\0' && !parse_int64(last, &to))
        to = PG_INT64_MAX;
    if (*first == '\0') {
        *unsatisfiable = to == 0;
        *span = (Span){Max(size - to, 0), size, true};
        return true;
    }
    if (*last != '\0' && to < from)
        return false;
    *unsatisfiable = from >= size;
    *span = (Span){from, *last == '\0' || to >= size ? size : to + 1, true};
    return true;
}

/* "<next byte>.<end>", of a reply that has begun. */
static bool read_cursor(const char *cursor, int64 size, Span *span) {
    char *copy = pstrdup(cursor);
    char *end = strchr(copy, '.');

    if (end == NULL)
        return false;
    *end++ = '\0';
    return parse_int64(copy, &span->from) && parse_int64(end, &span->end) && span->from >= 0 &&
           span->from < span->end && span->end <= size;
}

/* The slice that begins there; its length, which is not 0. */
static int read_slice(const Prescription *p, const Span *span, StringInfo base64) {
    Datum args[3] = {Int64GetDatum(p->image_id), Int64GetDatum(span->from),
                     Int32GetDatum((int32) Min(PAGE_BYTES, span->end - span->from))};
    bytea *bytes;
    bool isnull;
    int length;

    bytes =
        query_read(&image_slice, args, NULL) > 0 ? DatumGetByteaPP(row_value(0, 1, &isnull)) : NULL;
    length = bytes ? (int) VARSIZE_ANY_EXHDR(bytes) : 0;
    if (length == 0)
        ereport(
            ERROR, errcode(ERRCODE_DATA_CORRUPTED),
            errmsg("image " INT64_FORMAT " has no byte " INT64_FORMAT, p->image_id, span->from));
    enlargeStringInfo(base64, pg_b64_enc_len(length) + 2);
    base64->data[0] = '"';
    base64->len =
        1 + pg_b64_encode(VARDATA_ANY(bytes), length, base64->data + 1, pg_b64_enc_len(length));
    appendStringInfoChar(base64, '"');
    return length;
}

static StringInfo image_headers(const Prescription *p, const char *etag, MemoryContext context) {
    MemoryContext previous = MemoryContextSwitchTo(context);
    bool is_picture = strncmp(p->media_type, "image/", 6) == 0;
    StringInfo headers = makeStringInfo();

    appendStringInfoChar(headers, '{');
    json_text(headers, "ETag", etag);
    json_text(headers, "Cache-Control", psprintf("private, max-age=%d", SECONDS_KEPT));
    json_text(headers, "Accept-Ranges", "bytes");
    json_text(headers, "Content-Security-Policy", "sandbox; default-src 'none'");
    json_text(headers, "Cross-Origin-Resource-Policy", "cross-origin");
    json_text(headers, "Content-Disposition",
              psprintf("%s; filename=\"prescription-" INT64_FORMAT ".%s\"",
                       is_picture ? "inline" : "attachment", p->id, image_ending(p->media_type)));
    MemoryContextSwitchTo(previous);
    return headers;
}

static Datum no_such_range(const Prescription *p) {
    StringInfo json = makeStringInfo();
    StringInfo headers = makeStringInfo();

    appendStringInfoChar(json, '{');
    json_text(json, "detail", psprintf("the image has " INT64_FORMAT " bytes", p->size));
    appendStringInfoChar(json, '}');
    appendStringInfoChar(headers, '{');
    json_text(headers, "Content-Range", psprintf("bytes */" INT64_FORMAT, p->size));
    appendStringInfoChar(headers, '}');
    return reply(416, json, headers);
}

static Datum send_span(const Prescription *p, const Span *span, bool first, const char *etag,
                       MemoryContext caller) {
    StringInfo headers = image_headers(p, etag, caller);
    MemoryContext previous = MemoryContextSwitchTo(caller);
    StringInfo base64 = makeStringInfo();
    int64 next;

    MemoryContextSwitchTo(previous);
    next = span->from + read_slice(p, span, base64);
    json_text(headers, "Content-Type", p->media_type);
    json_text(headers, "Body-Encoding", "base64");
    if (first) {
        json_text(headers, "Body-Length", psprintf(INT64_FORMAT, span->end - span->from));
        if (span->is_part)
            json_text(headers, "Content-Range",
                      psprintf("bytes " INT64_FORMAT "-" INT64_FORMAT "/" INT64_FORMAT, span->from,
                               span->end - 1, p->size));
    }
    if (next < span->end)
        json_text(headers, "Next-Page", psprintf(INT64_FORMAT "." INT64_FORMAT, next, span->end));
    appendStringInfoChar(headers, '}');
    SPI_finish();
    return reply(span->is_part ? 206 : 200, base64, headers);
}

/* The client has it already. */
static Datum not_modified(const Prescription *p, const char *etag, MemoryContext caller) {
    StringInfo headers = image_headers(p, etag, caller);

    json_text(headers, "Body-Length", psprintf(INT64_FORMAT, p->size));
    appendStringInfoChar(headers, '}');
    SPI_finish();
    return reply(304, NULL, headers);
}

Datum clinicq_api_get_image(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    int64 id = path_id(fcinfo, 0, "prescription");
    Fields *query = fields_of_query(fcinfo);
    char *cursor = query_text(query, "cursor");
    char *range = query_text(query, "range");
    char *if_range = query_text(query, "if_range");
    const char *if_none_match = request_if_none_match();
    bool unsatisfiable = false;
    Prescription p;
    char etag[ETAG_DIGITS + 3];
    Span span;

    SPI_connect();
    image_address_enter(id, query);
    actor_require(ROLES_CARE);
    prescription_read(id, &p);
    snprintf(etag, sizeof etag, "\"%.*s\"", ETAG_DIGITS, p.sha256);
    span = (Span){0, p.size, false};
    if (cursor != NULL) {
        span.is_part = range != NULL;
        if (!read_cursor(cursor, p.size, &span))
            ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                    errmsg("cursor: must be one that a page named"));
        return send_span(&p, &span, false, etag, caller);
    }
    look_image(id, sight_outcome(sight_of(p.patient_id, p.restricted)));
    if (if_none_match != NULL && etag_is_listed(if_none_match, etag, true))
        return not_modified(&p, etag, caller);
    if (range != NULL && (if_range == NULL || strcmp(if_range, etag) == 0) &&
        !read_range(range, p.size, &span, &unsatisfiable))
        span = (Span){0, p.size, false};
    if (unsatisfiable) {
        SPI_finish();
        return no_such_range(&p);
    }
    return send_span(&p, &span, true, etag, caller);
}
