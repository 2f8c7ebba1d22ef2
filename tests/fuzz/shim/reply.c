/* Replies of the database: a line with the status, or with the fields of an error; a line of
 * headers as JSON; the body. No header can be split (see check_header), and JSON stays JSON. */
#include "harness.h"

#include "reply.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char sqlstate[6];
    char *message;
    char *detail;
} error;

static const char *error_field(int code) {
    switch (code) {
    case PG_DIAG_SQLSTATE:
        return error.sqlstate;
    case PG_DIAG_MESSAGE_PRIMARY:
        return error.message;
    case PG_DIAG_MESSAGE_DETAIL:
        return error.detail[0] != '\0' ? error.detail : NULL;
    case PG_DIAG_MESSAGE_HINT:
        return "hint";
    default:
        return NULL;
    }
}

static bool is_json(const char *text) {
    struct json_object *json = judge_json(text, strlen(text));
    bool is = json != NULL;

    json_object_put(json);
    return is;
}

static void check_reply(bool json_in) {
    size_t len;
    unsigned status;
    const char *body = harness_reply(&len, &status);

    PROPERTY(status >= 200 && status <= 599);
    if (json_in && len > 0 && harness_names_all)
        PROPERTY(is_json(body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct header sent[] = {{"Host", "localhost"}, {"Accept", "application/problem+json"}};
    struct input in = {(const char *) data, size};
    size_t len;
    char *first = take_line(&in, &len);
    char *headers = take_line(&in, &len);
    char *body = take_rest(&in, &len);
    bool json = body[0] == '\0' || is_json(body);

    harness_names_all =
        strcasestr(headers, "Set-Cookie") == NULL && strcasestr(headers, "Content-Type") == NULL;
    for (size_t full = 0; full <= 1; full++) {
        struct request *r = harness_request("/api/patients/1/", sent, 1 + full);

        PROPERTY(request_headers(r, "GET", MHD_HTTP_VERSION_1_1) == MHD_YES);
        PROPERTY(request_complete(r) == MHD_YES);
        r->call.outcome = CALL_RESULT;
        r->call.failed = strlen(first) == 5;
        r->stage = STAGE_ANSWER;
        if (r->call.failed) {
            memcpy(error.sqlstate, first, 6);
            error.message = headers;
            error.detail = body;
            harness_error_field = error_field;
            r->call.result = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
        } else {
            r->call.result = harness_row(first, body, headers);
        }
        PROPERTY(request_complete(r) == MHD_YES);
        check_reply(json || (r->call.failed && body[0] != '{'));
        harness_error_field = NULL;
        harness_end(r);
    }
    free(first);
    free(headers);
    free(body);
    return 0;
}
