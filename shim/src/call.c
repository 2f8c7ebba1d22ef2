#include "call.h"

#include "config.h"
#include "multipart.h"
#include "query.h"
#include "utf8.h"

#include <json-c/json.h>
#include <string.h>
#include <strings.h>

_Static_assert(P_COUNT == CALL_PARAMETERS, "struct call has room for each");

#define USER_AGENT_MAX 200

static struct {
    struct buffer fallback;
    const char *scheme;
} base;

void call_open(const struct config *c) {
    bool v6 = strchr(c->address, ':') != NULL;

    base.scheme = c->secure ? "https://" : "http://";
    buffer_format(&base.fallback, "%s%s%s%s:%u", base.scheme, v6 ? "[" : "", c->address,
                  v6 ? "]" : "", c->port);
}

void call_close(void) {
    buffer_free(&base.fallback);
}

static const char *object_text(struct request *r, struct json_object *object) {
    size_t len;
    const char *text = json_object_to_json_string_length(
        object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

    return arena_text(&r->arena, text, len);
}

/* A header for the database to judge: what text might not hold becomes DEL, which none may hold. */
static const char *as_ascii(struct request *r, const char *header) {
    char *text;

    if (header == NULL)
        return NULL;
    text = arena_text(&r->arena, header, strlen(header));
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char) *c > '~')
            *c = 0x7f;
    return text;
}

static bool read_query(struct request *r, struct json_object *object) {
    if (query_parse(object, r->query, r->query_len) != QUERY_OK)
        return false;
    if (r->route == NULL || !r->route->ranges)
        return true;
    if (r->range != NULL)
        json_object_object_add(object, "range", json_object_new_string(as_ascii(r, r->range)));
    if (r->if_range != NULL)
        json_object_object_add(object, "if_range",
                               json_object_new_string(as_ascii(r, r->if_range)));
    return true;
}

bool call_query(struct request *r) {
    struct json_object *object;
    bool ok;

    r->call.parameters[P_QUERY] = NULL;
    if (r->query_len == 0 && r->last_event_id == NULL && (r->route == NULL || !r->route->ranges))
        return true;
    object = json_object_new_object();
    ok = read_query(r, object);
    /* a browser that comes back repeats its address */
    if (r->last_event_id != NULL)
        json_object_object_add(object, "last_event_id", json_object_new_string(r->last_event_id));
    if (ok && json_object_object_length(object) > 0)
        r->call.parameters[P_QUERY] = object_text(r, object);
    json_object_put(object);
    return ok;
}

void call_page(struct request *r, const char *cursor, struct buffer *query) {
    struct json_object *object = json_object_new_object();
    size_t len;
    const char *text;

    read_query(r, object);
    json_object_object_add(object, "cursor", json_object_new_string(cursor));
    text = json_object_to_json_string_length(
        object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
    query->len = 0;
    buffer_add(query, text, len);
    json_object_put(object);
    r->call.parameters[P_QUERY] = query->data;
    r->call.parameters[P_IF_NONE_MATCH] = NULL; /* the reply has begun */
}

/* A value that text cannot hold names no object, so each wrong byte becomes U+FFFD and the database
 * answers 404 in its own order of checks. */
static void add_path_value(struct buffer *out, const char *value, size_t len) {
    buffer_char(out, '"');
    for (size_t i = 0; i < len;) {
        size_t step = value[i] == '\0' ? 0 : utf8_step(value + i, len - i);

        if (step == 0) {
            buffer_text(out, "\xEF\xBF\xBD");
            step = 1;
        } else {
            if (value[i] == '"' || value[i] == '\\')
                buffer_char(out, '\\');
            buffer_add(out, value + i, step);
        }
        i += step;
    }
    buffer_char(out, '"');
}

/* The decoded path values as an array literal. */
static const char *path_values(struct request *r) {
    struct buffer out = {0};
    const char *text;

    if (r->match.value_count == 0)
        return NULL;
    buffer_char(&out, '{');
    for (unsigned i = 0; i < r->match.value_count; i++) {
        const struct segment *s = &r->match.values[i];
        char *value = arena_alloc(&r->arena, s->len);

        if (i > 0)
            buffer_char(&out, ',');
        add_path_value(&out, value, percent_decode(value, s->at, s->len, false));
    }
    buffer_char(&out, '}');
    text = arena_text(&r->arena, out.data, out.len);
    buffer_free(&out);
    return text;
}

static bool media_type_is(const char *content_type, const char *type) {
    size_t len = strlen(type);
    char next;

    if (content_type == NULL || strncasecmp(content_type, type, len) != 0)
        return false;
    next = content_type[len];
    return next == '\0' || next == ';' || next == ' ' || next == '\t';
}

bool call_is_form(const struct request *r) {
    return media_type_is(r->content_type, "application/x-www-form-urlencoded");
}

static const char *read_form(struct request *r, struct json_object *object) {
    if (media_type_is(r->content_type, "multipart/form-data")) {
        switch (multipart_parse(object, r->content_type, r->body.data, r->body.len)) {
        case MULTIPART_OK:
            return NULL;
        case MULTIPART_ENCODING:
            return "encoding";
        case MULTIPART_FORM:
            return "form";
        }
    }
    switch (query_parse(object, r->body.data, r->body.len)) {
    case QUERY_OK:
        return NULL;
    case QUERY_ENCODING:
        return "encoding";
    case QUERY_TOO_MANY:
        return "form";
    }
    return "form";
}

static void build_body(struct request *r) {
    const char **body = &r->call.parameters[P_BODY];
    const char **fault = &r->call.parameters[P_BODY_FAULT];

    *body = *fault = NULL;
    if (r->route == NULL || !r->route->takes_fields || r->body.len == 0)
        return;
    if (media_type_is(r->content_type, "application/json")) {
        if (utf8_text(r->body.data, r->body.len))
            *body = r->body.data;
        else
            *fault = "encoding";
    } else if (call_is_form(r) || media_type_is(r->content_type, "multipart/form-data")) {
        struct json_object *object = json_object_new_object();

        *fault = read_form(r, object);
        if (*fault == NULL)
            *body = object_text(r, object);
        json_object_put(object);
    } else {
        *fault = "media-type";
    }
}

/* The host is one of CLINICQ_ALLOWED_HOSTS. */
const char *call_base_url(struct request *r) {
    const char *host = r->uri_host != NULL ? r->uri_host : r->host;
    size_t scheme = strlen(base.scheme);
    char *url;

    if (host == NULL)
        return base.fallback.data;
    url = arena_alloc(&r->arena, scheme + strlen(host) + 1);
    memcpy(url, base.scheme, scheme);
    memcpy(url + scheme, host, strlen(host) + 1);
    return url;
}

/* The User-Agent, where a session may begin: printable ASCII, cut. */
static const char *user_agent(struct request *r) {
    char *agent;
    size_t len;

    if (r->user_agent == NULL || r->call.class == CALL_READ)
        return NULL;
    len = strnlen(r->user_agent, USER_AGENT_MAX);
    agent = arena_text(&r->arena, r->user_agent, len);
    for (size_t i = 0; i < len; i++)
        if (agent[i] < ' ' || agent[i] > '~')
            agent[i] = '?';
    return agent;
}

static void add_conditions(struct request *r) {
    bool reads = r->call.safe;

    r->call.parameters[P_IDEMPOTENCY_KEY] = reads ? NULL : as_ascii(r, r->idempotency_key);
    r->call.parameters[P_IF_MATCH] = reads ? NULL : as_ascii(r, r->if_match);
    r->call.parameters[P_IF_NONE_MATCH] = reads ? as_ascii(r, r->if_none_match) : NULL;
}

/* The middle part of a valid traceparent. */
static const char *trace_id(struct request *r) {
    return r->traceparent != NULL ? arena_text(&r->arena, r->traceparent + 3, 32) : NULL;
}

static void choose_lane(struct request *r) {
    const char *body = r->call.parameters[P_BODY];

    if (r->route != NULL && r->route->lane != NULL && body != NULL)
        r->call.lane = lane_of_body(r->route->lane, body, strlen(body));
}

/* All but the body. */
static void build_rest(struct request *r) {
    const char **p = r->call.parameters;

    r->call.class = r->route != NULL ? r->route->class : CALL_READ;
    r->call.safe = r->route == NULL || r->method == GET || r->method == HEAD;
    r->call.sql = NULL;
    r->call.lane = NULL;
    p[P_ROUTE] = r->route != NULL ? r->route->key : NULL;
    p[P_TOKEN] = r->token;
    p[P_PATH] = r->route != NULL ? path_values(r) : NULL;
    p[P_REQUEST_ID] = r->id;
    p[P_CLIENT] = r->address;
    p[P_BASE_URL] = call_base_url(r);
    p[P_USER_AGENT] = user_agent(r);
    p[P_TRACE_ID] = trace_id(r);
    add_conditions(r);
}

void call_build(struct request *r) {
    const char **p = r->call.parameters;

    build_rest(r);
    build_body(r);
    r->before = r->route != NULL && r->route->before != NULL;
    if (r->before) {
        r->call.class = CALL_WRITE;
        p[P_ROUTE] = r->route->before;
    } else {
        choose_lane(r);
    }
}

void call_intake(struct request *r, const char *query, const char *body, const char *fault) {
    const char **p = r->call.parameters;

    build_rest(r);
    p[P_ROUTE] = r->route->intake;
    p[P_QUERY] = query;
    p[P_BODY] = body;
    p[P_BODY_FAULT] = fault;
    p[P_IDEMPOTENCY_KEY] = p[P_IF_MATCH] = NULL;
}

void call_form(struct request *r, struct json_object *fields, const char *fault) {
    const char **p = r->call.parameters;

    call_query(r);
    build_rest(r);
    p[P_BODY] = fields != NULL ? object_text(r, fields) : NULL;
    p[P_BODY_FAULT] = fault;
}

const char *call_form_fault(const struct request *r) {
    return media_type_is(r->content_type, "multipart/form-data") ? NULL
           : call_is_form(r)                                     ? "form"
                                                                 : "media-type";
}

void call_refused(struct request *r, const char *sqlstate) {
    struct buffer route = {0};

    buffer_format(&route, "REFUSED %s %s", sqlstate, r->route->key);
    r->call.class = CALL_WRITE;
    r->call.safe = false;
    r->call.parameters[P_ROUTE] = arena_text(&r->arena, route.data, route.len);
    r->call.parameters[P_QUERY] = r->call.parameters[P_BODY] = NULL;
    buffer_free(&route);
}

void call_follow(struct request *r) {
    r->call.class = r->route->class;
    r->call.goes_on = true;
    r->call.parameters[P_ROUTE] = r->route->key;
    choose_lane(r);
}
