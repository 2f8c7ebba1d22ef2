#include "harness.h"

#include "call.h"
#include "config.h"
#include "cookie.h"
#include "cors.h"
#include "host.h"
#include "limit.h"
#include "proxy.h"
#include "query.h"
#include "reply.h"
#include "signature.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shaped as sql/always/routes.sql makes it, with every kind of route, and literals that compete
 * with parameters. ' stands for ". */
static char catalogue_text[] =
    "{'version':'0','routes':["
    "{'key':'log in','method':'POST','path':'/api/auth/login/'"
    ",'class':'slow','body':'fields','open':true,'before':true},"
    "{'key':'health','method':'GET','path':'/api/health/'"
    ",'class':'read','body':'none','open':true},"
    "{'key':'openapi','method':'GET','path':'/api/openapi.json'"
    ",'class':'read','body':'none','open':true},"
    "{'key':'patients','method':'GET','path':'/api/patients/'"
    ",'class':'read','body':'none'},"
    "{'key':'search','method':'GET','path':'/api/patients/search/'"
    ",'class':'slow','body':'none'},"
    "{'key':'new patient','method':'POST','path':'/api/patients/'"
    ",'class':'write','body':'fields','body_limit':2048},"
    "{'key':'patient','method':'GET','path':'/api/patients/{number}/'"
    ",'class':'read','body':'none'},"
    "{'key':'put patient','method':'PUT','path':'/api/patients/{number}/'"
    ",'class':'write','body':'fields'},"
    "{'key':'drop patient','method':'DELETE','path':'/api/patients/{number}/'"
    ",'class':'write','body':'none'},"
    "{'key':'visit','method':'POST','path':'/api/visits/'"
    ",'class':'write','body':'fields','lane':'queue'},"
    "{'key':'move visit','method':'PATCH','path':'/api/visits/{id}/'"
    ",'class':'write','body':'fields','lane':'queue'},"
    "{'key':'signed','method':'POST','path':'/api/signed/{token}/'"
    ",'class':'write','body':'fields','open':true,'signature':'twilio'},"
    "{'key':'start','method':'PATCH','path':'/api/visits/{id}/start/'"
    ",'class':'write','body':'none'},"
    "{'key':'deep','method':'GET','path':'/a/{b}/c/{d}/e'"
    ",'class':'read','body':'none'},"
    "{'key':'literal','method':'GET','path':'/a/b/c/{d}/f'"
    ",'class':'read','body':'none'}"
    "],'problems':["
    "{'sqlstate':'22023','status':400,'type':'fields','title':'Fields','reveal':true},"
    "{'sqlstate':'QC429','status':429,'type':'slow','title':'Slow','reveal':true},"
    "{'sqlstate':'28000','status':401,'type':'who','title':'Who','reveal':true},"
    "{'sqlstate':'22P02','status':400,'type':'bad','title':'Bad','reveal':false},"
    "{'sqlstate':'42501','status':403,'type':'role','title':'Role','reveal':true,'audited':true}]}";

/* libmicrohttpd's handle of a connection is opaque; this is ours. */
struct connection {
    struct header *headers;
    size_t count;
};

static struct {
    struct config config;
    struct catalogue *catalogue;
    struct client *client;
    struct connection connection;
    struct call *submitted;
    const char *created; /* body of the last response */
    size_t created_len;
    char *reply;
    size_t reply_len;
    unsigned status;
    MHD_ContentReaderCallback reader; /* of a reply in pages */
    void *reader_arg;
} harness;

const char *(*harness_error_field)(int code);
bool harness_names_all = true;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const char *const settings[][2] = {
        {"CLINICQ_SHIM_DSN", "dbname=none"},
        {"CLINICQ_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1],clinic.example"},
        {"CLINICQ_CORS_ORIGINS", "http://localhost:5173"},
        {"CLINICQ_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/9,2001:db8::/33"},
        {"CLINICQ_TWILIO_TOKEN", "key"},
        {"CLINICQ_ADDRESS_BURST", "0"},
        {"CLINICQ_LOGIN_BURST", "0"},
        {"CLINICQ_USER_BURST", "0"},
        {"CLINICQ_WRITE_BURST", "0"},
    };
    char *arguments[] = {(char *) "clinicq-shim", NULL};
    struct sockaddr_in peer = {.sin_family = AF_INET};
    struct header host = {(char *) "Host", (char *) "localhost"};
    struct answer plain;
    const char *reason;

    (void) argc;
    (void) argv;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        setenv(settings[i][0], settings[i][1], 1);
    config_load(&harness.config, 1, arguments);
    log_open((enum log_level)(LOG_ERROR + 1), "");
    clients_open(&harness.config);
    host_open(harness.config.allowed_hosts);
    cors_open(harness.config.cors_origins);
    cookie_open(&harness.config);
    proxy_open(harness.config.trusted_proxies);
    limit_open(&harness.config);
    call_open(&harness.config);
    signature_open(&harness.config);
    reply_open(&harness.config);
    request_open(&harness.config);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    harness.client = client_new(-1, (struct sockaddr *) &peer);
    for (char *c = catalogue_text; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    harness.catalogue = catalogue_parse(catalogue_text, &reason);
    PROPERTY(harness.catalogue != NULL && harness.client->trusted);
    /* a shim that is not set up refuses all, and nothing would be searched */
    harness_run(&plain, "POST", "/api/patients/?a=b", &host, 1, "{}", 2, 2);
    PROPERTY(plain.called);
    answer_free(&plain);
    return 0;
}

struct catalogue *harness_catalogue(void) {
    return harness.catalogue;
}

/* Between the shim and its neighbours. */

struct catalogue *__wrap_catalogue_current(void);
struct catalogue *__wrap_catalogue_current(void) {
    return harness.catalogue;
}

bool __wrap_pool_submit(struct call *call);
bool __wrap_pool_submit(struct call *call) {
    harness.submitted = call;
    return true;
}

void __wrap_pool_abandon(struct call *call);
void __wrap_pool_abandon(struct call *call) {
    lane_drop(call->lane);
    call->lane = NULL;
}

struct MHD_Response *__real_MHD_create_response_from_buffer(size_t len, void *body,
                                                            enum MHD_ResponseMemoryMode mode);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t len, void *body,
                                                            enum MHD_ResponseMemoryMode mode);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t len, void *body,
                                                            enum MHD_ResponseMemoryMode mode) {
    harness.created = body;
    harness.created_len = len;
    return __real_MHD_create_response_from_buffer(len, body, mode);
}

struct MHD_Response *__real_MHD_create_response_from_buffer_with_free_callback_cls(
    size_t len, void *body, MHD_ContentReaderFreeCallback release, void *owner);
struct MHD_Response *__wrap_MHD_create_response_from_buffer_with_free_callback_cls(
    size_t len, void *body, MHD_ContentReaderFreeCallback release, void *owner);
struct MHD_Response *__wrap_MHD_create_response_from_buffer_with_free_callback_cls(
    size_t len, void *body, MHD_ContentReaderFreeCallback release, void *owner) {
    harness.created = body;
    harness.created_len = len;
    return __real_MHD_create_response_from_buffer_with_free_callback_cls(len, body, release, owner);
}

struct MHD_Response *
__real_MHD_create_response_from_callback(uint64_t size, size_t block,
                                         MHD_ContentReaderCallback reader, void *arg,
                                         MHD_ContentReaderFreeCallback release);
struct MHD_Response *
__wrap_MHD_create_response_from_callback(uint64_t size, size_t block,
                                         MHD_ContentReaderCallback reader, void *arg,
                                         MHD_ContentReaderFreeCallback release);
/* The first page, read in pieces; then the next one is asked for. */
struct MHD_Response *
__wrap_MHD_create_response_from_callback(uint64_t size, size_t block,
                                         MHD_ContentReaderCallback reader, void *arg,
                                         MHD_ContentReaderFreeCallback release) {
    harness.reader = reader;
    harness.reader_arg = arg;
    return __real_MHD_create_response_from_callback(size, block, reader, arg, release);
}

static void read_stream(void) {
    static char page[65536];
    ssize_t got;

    harness.created_len = 0;
    harness.created = page;
    harness.submitted = NULL;
    while (harness.created_len + 100 <= sizeof(page) &&
           (got = harness.reader(harness.reader_arg, harness.created_len,
                                 page + harness.created_len, 100)) > 0)
        harness.created_len += (size_t) got;
    if (harness.submitted != NULL)
        PROPERTY(strstr(harness.submitted->parameters[P_QUERY], "\"cursor\"") != NULL);
}

int MHD_get_connection_values_n(struct MHD_Connection *mhd, enum MHD_ValueKind kind,
                                MHD_KeyValueIteratorN iterator, void *arg) {
    struct connection *c = (void *) mhd;

    (void) kind;
    for (size_t i = 0; i < c->count; i++)
        if (iterator(arg, MHD_HEADER_KIND, c->headers[i].name, strlen(c->headers[i].name),
                     c->headers[i].value, strlen(c->headers[i].value)) != MHD_YES)
            return (int) i + 1;
    return (int) c->count;
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *mhd,
                                                        enum MHD_ConnectionInfoType type, ...) {
    (void) mhd;
    (void) type;
    return NULL;
}

void MHD_suspend_connection(struct MHD_Connection *mhd) {
    (void) mhd;
}

void MHD_resume_connection(struct MHD_Connection *mhd) {
    (void) mhd;
}

/* The cookie of a session is one, and ends with its attributes. */
static void check_cookie(const char *value) {
    static const char attributes[] = "; Path=/; HttpOnly; SameSite=Strict; Max-Age=";

    PROPERTY(strncmp(value, "clinicq=", 8) == 0);
    value += 8;
    while (isalnum((unsigned char) *value) || strchr("._-", *value) != NULL) {
        PROPERTY(*value != '\0');
        value++;
    }
    PROPERTY(strncmp(value, attributes, sizeof(attributes) - 1) == 0);
    value += sizeof(attributes) - 1;
    PROPERTY(*value != '\0' && strspn(value, "0123456789") == strlen(value));
}

static enum MHD_Result check_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                    const char *value) {
    unsigned *types = arg;

    (void) kind;
    PROPERTY(name[0] != '\0' && judge_visible(name) && strchr(name, ':') == NULL);
    if (harness_names_all && strcasecmp(name, "Set-Cookie") == 0)
        check_cookie(value);
    for (; *value != '\0'; value++)
        PROPERTY((unsigned char) *value >= ' ' && *value != 0x7F);
    *types += strcasecmp(name, "Content-Type") == 0;
    return MHD_YES;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *mhd, unsigned status,
                                   struct MHD_Response *response) {
    unsigned types = 0;

    (void) mhd;
    PROPERTY(harness.status == 0);
    MHD_get_response_headers(response, check_header, &types);
    PROPERTY(types == 1);
    harness.status = status;
    if (harness.reader != NULL)
        read_stream();
    harness.reader = NULL;
    free(harness.reply);
    harness.reply_len = harness.created_len;
    harness.reply = malloc(harness.reply_len + 1);
    PROPERTY(harness.reply != NULL);
    memcpy(harness.reply, harness.created, harness.reply_len);
    harness.reply[harness.reply_len] = '\0';
    return MHD_YES;
}

char *PQresultErrorField(const PGresult *result, int code) {
    (void) result;
    return harness_error_field != NULL ? (char *) (uintptr_t) harness_error_field(code) : NULL;
}

const char *harness_reply(size_t *len, unsigned *status) {
    *len = harness.reply_len;
    *status = harness.status;
    return harness.reply;
}

struct request *harness_request(const char *uri, struct header *headers, size_t count) {
    harness.connection = (struct connection){headers, count};
    harness.status = 0;
    harness.submitted = NULL;
    return request_begin(harness.client, (struct MHD_Connection *) (void *) &harness.connection,
                         uri);
}

void harness_end(struct request *r) {
    request_free(r);
}

/* The values of a text[] literal, as PostgreSQL's array_in() reads it. False if it is none. */
static bool read_array(const char *p, char **values, unsigned *count) {
    *count = 0;
    if (*p++ != '{')
        return false;
    do {
        size_t n = 0;

        if (*p++ != '"')
            return false;
        for (; *p != '"'; p++) {
            if (*p == '\0' || (*p == '\\' && *++p == '\0'))
                return false;
            values[*count][n++] = *p;
        }
        values[(*count)++][n] = '\0';
        p++;
    } while (*p++ == ',');
    return p[-1] == '}' && *p == '\0';
}

/* The literal holds each value, with U+FFFD for what no text can hold. */
static void check_path(const struct request *r, const char *literal) {
    char *values[PATH_DEPTH_MAX + 1];
    unsigned count;
    size_t room = strlen(literal) + 1;

    for (unsigned i = 0; i <= PATH_DEPTH_MAX; i++)
        PROPERTY((values[i] = malloc(room)) != NULL);
    PROPERTY(judge_text(literal, strlen(literal)));
    PROPERTY(read_array(literal, values, &count));
    PROPERTY(count == r->match.value_count);
    for (unsigned i = 0; i < count; i++) {
        const struct segment *s = &r->match.values[i];
        char *decoded = malloc(s->len);
        size_t len, at = 0;

        PROPERTY(decoded != NULL);
        len = percent_decode(decoded, s->at, s->len, false);
        for (size_t j = 0, step; j < len; j += step) {
            uint32_t code_point;

            step = judge_character(decoded + j, len - j, &code_point);
            if (step == 0 || code_point == 0) {
                PROPERTY(strncmp(values[i] + at, "\xEF\xBF\xBD", 3) == 0);
                at += 3;
                step = 1;
            } else {
                PROPERTY(memcmp(values[i] + at, decoded + j, step) == 0);
                at += step;
            }
        }
        PROPERTY(values[i][at] == '\0');
        free(decoded);
    }
    for (unsigned i = 0; i <= PATH_DEPTH_MAX; i++)
        free(values[i]);
}

static void check_object(const char *text) {
    struct json_object *object = judge_json(text, strlen(text));

    PROPERTY(object != NULL && judge_object_of_texts(object));
    json_object_put(object);
}

/* A token that a browser adds by itself serves a write only of pages that are ours. On an open
 * route it lets nobody in; a log-in ends its session. */
static void check_token(const struct request *r, const char *token) {
    static const char own[] = "http://localhost:5173";
    const char *at;
    bool open = r->route != NULL && r->route->open;

    PROPERTY(token[0] != '\0' && strlen(token) <= 128 && judge_visible(token));
    if (r->authorization != NULL && !open) {
        PROPERTY(strstr(r->authorization, token) != NULL);
        return;
    }
    at = strstr(r->cookie, "clinicq=");
    PROPERTY(at != NULL && strstr(at, token) != NULL);
    if (open ? r->origin == NULL : r->method == GET || r->method == HEAD)
        return;
    PROPERTY(r->origin != NULL && (open || r->asks_itself));
    PROPERTY(strcmp(r->origin, own) == 0 ||
             (strncmp(r->origin, "http://", 7) == 0 && strcasecmp(r->origin + 7, r->host) == 0));
}

void check_parameters(const struct request *r, const char *const *p) {
    static const char id[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    struct in6_addr address;

    PROPERTY(p[P_ROUTE] == NULL ||
             strcmp(p[P_ROUTE], r->before ? r->route->before : r->route->key) == 0);
    if (p[P_TOKEN] != NULL)
        check_token(r, p[P_TOKEN]);
    if (p[P_PATH] != NULL)
        check_path(r, p[P_PATH]);
    else
        PROPERTY(r->route == NULL || r->match.value_count == 0);
    if (p[P_QUERY] != NULL)
        check_object(p[P_QUERY]);
    if (p[P_BODY] != NULL) {
        PROPERTY(r->route->takes_fields && p[P_BODY_FAULT] == NULL && r->body.len > 0);
        PROPERTY(judge_text(p[P_BODY], strlen(p[P_BODY])));
        if (strncasecmp(r->content_type, "application/json", 16) == 0)
            PROPERTY(strlen(p[P_BODY]) == r->body.len);
        else
            check_object(p[P_BODY]);
    }
    if (p[P_BODY_FAULT] != NULL)
        PROPERTY(strcmp(p[P_BODY_FAULT], "media-type") == 0 ||
                 strcmp(p[P_BODY_FAULT], "encoding") == 0 || strcmp(p[P_BODY_FAULT], "form") == 0);
    PROPERTY(p[P_REQUEST_ID][0] != '\0' && strlen(p[P_REQUEST_ID]) <= REQUEST_ID_MAX);
    PROPERTY(strspn(p[P_REQUEST_ID], id) == strlen(p[P_REQUEST_ID]));
    PROPERTY(p[P_CLIENT] == NULL || inet_pton(AF_INET, p[P_CLIENT], &address) == 1 ||
             inet_pton(AF_INET6, p[P_CLIENT], &address) == 1);
    PROPERTY(strncmp(p[P_BASE_URL], "http://", 7) == 0 ||
             strncmp(p[P_BASE_URL], "https://", 8) == 0);
    for (const char *c = strstr(p[P_BASE_URL], "//") + 2; *c != '\0'; c++)
        PROPERTY(isascii(*c) && (isalnum(*c) || strchr(".:[]-", *c) != NULL));
    if (p[P_USER_AGENT] != NULL) {
        PROPERTY(strlen(p[P_USER_AGENT]) <= 200 &&
                 judge_text(p[P_USER_AGENT], strlen(p[P_USER_AGENT])));
        for (const char *c = p[P_USER_AGENT]; *c != '\0'; c++)
            PROPERTY((unsigned char) *c >= ' ' && *c != 0x7F);
    }
    PROPERTY((p[P_TRACE_ID] != NULL) == (r->traceparent != NULL));
    if (p[P_TRACE_ID] != NULL)
        PROPERTY(strlen(p[P_TRACE_ID]) == 32 && strspn(p[P_TRACE_ID], "0123456789abcdef") == 32 &&
                 strstr(r->traceparent, p[P_TRACE_ID]) == r->traceparent + 3);
}

PGresult *harness_row(const char *status, char *body, char *headers) {
    PGresAttDesc columns[4] = {
        {.name = "status"}, {.name = "reply"}, {.name = "headers"}, {.name = "actor"}};
    PGresult *row = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    char number[8] = {0};

    PROPERTY(row != NULL && PQsetResultAttrs(row, 4, columns));
    strncpy(number, status, sizeof(number) - 1);
    PROPERTY(PQsetvalue(row, 0, 0, number, (int) strlen(number)));
    PROPERTY(PQsetvalue(row, 0, 1, body, body[0] != '\0' ? (int) strlen(body) : -1));
    PROPERTY(PQsetvalue(row, 0, 2, headers, headers[0] != '\0' ? (int) strlen(headers) : -1));
    PROPERTY(PQsetvalue(row, 0, 3, NULL, -1));
    return row;
}

static bool send_body(struct request *r, const char *body, size_t len, size_t piece) {
    for (size_t at = 0; at < len; at += piece) {
        size_t size = len - at < piece ? len - at : piece;
        char *copy = malloc(size);
        enum MHD_Result going;

        PROPERTY(copy != NULL);
        memcpy(copy, body + at, size);
        going = request_body(r, copy, size);
        free(copy);
        if (going != MHD_YES)
            return false;
    }
    return true;
}

void harness_run(struct answer *a, const char *method, const char *uri, struct header *headers,
                 size_t count, const char *body, size_t len, size_t piece) {
    struct request *r = harness_request(uri, headers, count);

    *a = (struct answer){.called = false};
    if (request_headers(r, method, MHD_HTTP_VERSION_1_1) == MHD_YES && harness.status == 0 &&
        send_body(r, body, len, piece) && request_complete(r) == MHD_YES &&
        harness.submitted != NULL) {
        PROPERTY(harness.status == 0);
        a->called = true;
        check_parameters(r, r->call.parameters);
        if (r->before) {
            harness.submitted = NULL;
            r->call.outcome = CALL_RESULT;
            r->call.result = harness_row("204", (char *) "", (char *) "");
            r->call.done(&r->call);
            PROPERTY(harness.submitted == &r->call && !r->before);
            check_parameters(r, r->call.parameters);
        }
        for (unsigned i = 0; i < CALL_PARAMETERS; i++)
            if (r->call.parameters[i] != NULL && i != P_REQUEST_ID)
                PROPERTY((a->parameters[i] = strdup(r->call.parameters[i])) != NULL);
        r->call.outcome = CALL_EXPIRED;
        r->stage = STAGE_ANSWER;
        PROPERTY(request_complete(r) == MHD_YES);
        PROPERTY(harness.status != 0);
    }
    a->status = harness.status;
    if (a->status != 0) {
        a->len = harness.reply_len;
        PROPERTY((a->body = malloc(a->len + 1)) != NULL);
        memcpy(a->body, harness.reply, a->len + 1);
    }
    harness_end(r);
}

void answer_free(struct answer *a) {
    for (unsigned i = 0; i < CALL_PARAMETERS; i++)
        free(a->parameters[i]);
    free(a->body);
}
