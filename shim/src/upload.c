#include "upload.h"

#include "base64.h"
#include "call.h"
#include "config.h"
#include "http.h"
#include "multipart.h"
#include "reply.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* A piece is sent when it has so many bytes; it has at most those of one read more. */
#define PIECE (256 * 1024)

enum upload_step { UPLOAD_ADMISSION, UPLOAD_PIECES, UPLOAD_LAST, UPLOAD_DONE, UPLOAD_DROP };

struct upload {
    enum upload_step step;
    struct form form;
    struct json_object *fields;
    struct buffer piece;
    struct buffer base64;
    struct buffer query;
    char id[64];
    uint64_t offset; /* where in the file the piece begins */
    bool at_headers;
    /* what is answered once the upload has been given up */
    PGresult *result;
    enum call_outcome outcome;
    bool failed;
};

static struct { unsigned open, limit; } uploads;

void upload_open(const struct config *c) {
    uploads.limit = c->uploads;
}

static enum MHD_Result wait_for(struct request *r) {
    MHD_suspend_connection(r->mhd);
    return MHD_YES;
}

enum MHD_Result upload_begin(struct request *r) {
    const char *fault = call_form_fault(r);
    struct upload *u;

    if (uploads.open >= uploads.limit)
        return reply_edge(r, EDGE_QUEUE_FULL);
    u = r->upload = memory_zero(1, sizeof(*u));
    uploads.open++;
    u->at_headers = true;
    u->fields = json_object_new_object();
    if (!form_open(&u->form, u->fields, fault == NULL ? r->content_type : "") && fault == NULL)
        fault = "form";
    buffer_format(&u->query, "{");
    if (r->has_length)
        buffer_format(&u->query, "\"length\":\"%llu\"", (unsigned long long) r->content_length);
    buffer_char(&u->query, '}');
    call_intake(r, u->query.data, NULL, fault);
    if (!pool_submit(&r->call))
        return reply_edge(r, EDGE_QUEUE_FULL);
    r->stage = STAGE_ADMISSION;
    client_phase(r->client, CLIENT_WAITING);
    return wait_for(r);
}

/* False where too many calls wait. */
static bool send_piece(struct request *r, bool last) {
    struct upload *u = r->upload;

    u->query.len = u->base64.len = 0;
    buffer_format(&u->query, "{\"upload\":\"%s\",\"offset\":\"%llu\"%s}", u->id,
                  (unsigned long long) u->offset, last ? ",\"last\":\"1\"" : "");
    base64_encode(&u->base64, u->piece.len > 0 ? u->piece.data : "", u->piece.len);
    u->offset += u->piece.len;
    u->piece.len = 0;
    call_intake(r, u->query.data, u->base64.len > 0 ? u->base64.data : NULL, NULL);
    return pool_submit(&r->call);
}

enum MHD_Result upload_body(struct request *r, const char *data, size_t len) {
    struct upload *u = r->upload;

    /* what is to be answered is known; it can be sent when all has come */
    if (r->stage == STAGE_ANSWER || r->edge != EDGE_NONE)
        return MHD_YES;
    form_feed(&u->form, data, len, &u->piece);
    if (u->piece.len < PIECE)
        return MHD_YES;
    if (!send_piece(r, false)) {
        r->edge = EDGE_QUEUE_FULL;
        return MHD_YES;
    }
    return wait_for(r);
}

/* With what stands for the file, "" where there is none. */
static void build_form(struct request *r, const char *hash) {
    static const char *const faults[] = {
        [MULTIPART_OK] = NULL, [MULTIPART_FORM] = "form", [MULTIPART_ENCODING] = "encoding"};
    struct upload *u = r->upload;
    struct json_object *file;

    if (hash[0] != '\0') {
        file = json_object_new_object();
        json_object_object_add(file, "sha256", json_object_new_string(hash));
        json_object_object_add(u->fields, u->form.file, file);
    }
    u->step = UPLOAD_DONE;
    call_form(r, u->fields, faults[form_fault(&u->form)]);
}

enum MHD_Result upload_end(struct request *r) {
    struct upload *u = r->upload;
    bool sent;

    if (form_fault(&u->form) == MULTIPART_OK && u->form.has_file) {
        u->step = UPLOAD_LAST;
        sent = send_piece(r, true);
    } else {
        build_form(r, "");
        sent = pool_submit(&r->call);
    }
    if (!sent)
        return reply_edge(r, EDGE_QUEUE_FULL);
    r->stage = STAGE_WAITING;
    client_phase(r->client, CLIENT_WAITING);
    return wait_for(r);
}

/* A text member of the reply, which is an object. */
static bool read_member(const PGresult *row, const char *name, char *out, size_t size) {
    struct json_object *object, *member;
    bool found = false;

    if (PQgetisnull(row, 0, 1))
        return false;
    object = json_tokener_parse(PQgetvalue(row, 0, 1));
    if (json_object_is_type(object, json_type_object) &&
        json_object_object_get_ex(object, name, &member)) {
        const char *text = json_object_get_string(member);

        found = strlen(text) < size && strspn(text, "0123456789abcdef") == strlen(text);
        if (found)
            memcpy(out, text, strlen(text) + 1);
    }
    json_object_put(object);
    return found;
}

static bool take_result(struct request *r) {
    struct upload *u = r->upload;
    const PGresult *row = r->call.result;
    char hash[65];

    switch (u->step) {
    case UPLOAD_ADMISSION:
        u->step = UPLOAD_PIECES;
        return read_member(row, "upload", u->id, sizeof(u->id));
    case UPLOAD_LAST:
        if (!read_member(row, "sha256", hash, sizeof(hash)))
            return false;
        build_form(r, hash);
        return true;
    default:
        return true;
    }
}

/* What became of a piece is of no interest to who sent the whole. */
static bool is_over(struct request *r) {
    struct call *call = &r->call;

    if (r->upload->step >= UPLOAD_DONE)
        return true;
    if (call->outcome == CALL_UNKNOWN)
        call->outcome = CALL_AWAY;
    return call->outcome != CALL_RESULT || call->failed || PQntuples(call->result) != 1;
}

bool upload_continue(struct request *r) {
    struct upload *u = r->upload;
    bool good;

    if (is_over(r))
        return false;
    good = take_result(r);
    PQclear(r->call.result);
    r->call.result = NULL;
    if (!good) {
        r->edge = EDGE_INTERNAL;
        return false;
    }
    if (u->step == UPLOAD_DONE) {
        if (pool_submit(&r->call))
            return true;
        r->edge = EDGE_QUEUE_FULL;
        return false;
    }
    http_resume(r->mhd);
    return true;
}

/* It is kept for some minutes, and counts, unless the database is told. */
bool upload_give_up(struct request *r) {
    struct upload *u = r->upload;
    struct call *call = &r->call;

    if (u->step == UPLOAD_DROP) {
        PQclear(call->result);
        call->result = u->result;
        u->result = NULL;
        call->outcome = u->outcome;
        call->failed = u->failed;
        return false;
    }
    if (u->id[0] == '\0' || (call->outcome == CALL_RESULT && !call->failed && r->edge == EDGE_NONE))
        return false;
    u->step = UPLOAD_DROP;
    u->result = call->result;
    call->result = NULL;
    u->outcome = call->outcome;
    u->failed = call->failed;
    u->query.len = 0;
    buffer_format(&u->query, "{\"upload\":\"%s\",\"drop\":\"1\"}", u->id);
    call_intake(r, u->query.data, NULL, NULL);
    return pool_submit(call) || upload_give_up(r);
}

bool upload_is_dropped(const struct request *r) {
    return r->upload != NULL && r->upload->step == UPLOAD_DROP;
}

bool upload_is_at_headers(const struct request *r) {
    return r->upload != NULL && r->upload->at_headers;
}

enum MHD_Result upload_admitted(struct request *r) {
    r->upload->at_headers = false;
    r->stage = STAGE_BODY;
    client_phase(r->client, CLIENT_UPLOAD);
    return MHD_YES;
}

void upload_free(struct request *r) {
    struct upload *u = r->upload;

    if (u == NULL)
        return;
    uploads.open--;
    PQclear(u->result);
    form_close(&u->form);
    json_object_put(u->fields);
    buffer_free(&u->piece);
    buffer_free(&u->base64);
    buffer_free(&u->query);
    free(u);
    r->upload = NULL;
}

unsigned upload_count(void) {
    return uploads.open;
}
