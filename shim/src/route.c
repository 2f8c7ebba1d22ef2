#include "route.h"

#include "memory.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static const char *const method_names[METHODS] = {"GET",   "HEAD",   "POST",    "PUT",
                                                  "PATCH", "DELETE", "OPTIONS", "OTHER"};

enum method method_parse(const char *text) {
    for (unsigned m = 0; m < METHOD_OTHER; m++)
        if (strcmp(text, method_names[m]) == 0)
            return (enum method) m;
    return METHOD_OTHER;
}

const char *method_name(enum method m) {
    return method_names[m];
}

static const char *member_text(struct json_object *object, const char *name) {
    struct json_object *value;

    if (!json_object_object_get_ex(object, name, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

static int64_t member_number(struct json_object *object, const char *name) {
    struct json_object *value;

    if (!json_object_object_get_ex(object, name, &value) ||
        !json_object_is_type(value, json_type_int))
        return 0;
    return json_object_get_int64(value);
}

static bool member_true(struct json_object *object, const char *name) {
    struct json_object *value;

    return json_object_object_get_ex(object, name, &value) &&
           json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

static bool parse_class(const char *text, enum call_class *out) {
    static const char *const names[CALL_CLASSES] = {"read", "write", "slow"};

    for (unsigned i = 0; i < CALL_CLASSES; i++) {
        if (text != NULL && strcmp(text, names[i]) == 0) {
            *out = (enum call_class) i;
            return true;
        }
    }
    return false;
}

/* What this shim cannot check must not be let in unchecked. */
static bool parse_signature(const char *text, enum signature *out) {
    *out = text != NULL ? SIGNATURE_TWILIO : SIGNATURE_NONE;
    return text == NULL || strcmp(text, "twilio") == 0;
}

static char *prefixed_key(const char *prefix, const char *key) {
    struct buffer text = {0};

    buffer_format(&text, "%s %s", prefix, key);
    return text.data;
}

static bool parse_route(struct json_object *from, struct route *r) {
    const char *key = member_text(from, "key");
    const char *path = member_text(from, "path");
    const char *method = member_text(from, "method");
    const char *body = member_text(from, "body");
    const char *lane = member_text(from, "lane");
    int64_t limit = member_number(from, "body_limit");

    if (key == NULL || path == NULL || path[0] != '/' || method == NULL || body == NULL ||
        !parse_class(member_text(from, "class"), &r->class) ||
        !parse_signature(member_text(from, "signature"), &r->signature))
        return false;
    r->method = method_parse(method);
    if (r->method == METHOD_OTHER || r->method == OPTIONS)
        return false;
    r->takes_fields = strcmp(body, "fields") == 0;
    r->open = member_true(from, "open");
    r->body_limit = limit > 0 ? (size_t) limit : 65536;
    r->key = memory_text(key);
    r->path = memory_text(path);
    if (member_true(from, "before"))
        r->before = prefixed_key("BEFORE", key);
    if (strcmp(body, "file") == 0)
        r->intake = prefixed_key("INTAKE", key);
    r->ranges = member_true(from, "ranges");
    r->lane = lane != NULL ? memory_text(lane) : NULL;
    return true;
}

static bool parse_problem(struct json_object *from, struct problem *p) {
    const char *sqlstate = member_text(from, "sqlstate");
    const char *type = member_text(from, "type");
    const char *title = member_text(from, "title");
    int64_t status = member_number(from, "status");

    if (sqlstate == NULL || strlen(sqlstate) != 5 || type == NULL || title == NULL ||
        status < 400 || status > 599)
        return false;
    memcpy(p->sqlstate, sqlstate, sizeof(p->sqlstate));
    p->status = (unsigned) status;
    p->type = memory_text(type);
    p->title = memory_text(title);
    p->reveal = member_true(from, "reveal");
    p->audited = member_true(from, "audited");
    return true;
}

static bool is_parameter(const char *segment, size_t len) {
    return len > 2 && segment[0] == '{' && segment[len - 1] == '}';
}

static struct path_node *child(struct path_node *parent, const char *segment, size_t len) {
    bool parameter = is_parameter(segment, len);
    struct path_node **at = &parent->children;
    struct path_node *node;

    for (node = *at; node != NULL; at = &node->sibling, node = *at) {
        if (node->literal == NULL) {
            if (parameter)
                return node;
            break; /* literals stand before the parameter */
        }
        if (!parameter && strlen(node->literal) == len && memcmp(node->literal, segment, len) == 0)
            return node;
    }
    node = memory_zero(1, sizeof(*node));
    if (!parameter) {
        node->literal = memory_alloc(len + 1);
        memcpy(node->literal, segment, len);
        node->literal[len] = '\0';
    }
    node->sibling = *at;
    *at = node;
    return node;
}

static bool add_route(struct catalogue *c, const struct route *r) {
    struct path_node *node = c->root;
    const char *p = r->path;
    unsigned depth = 0;

    while (*p == '/' && p[1] != '\0') {
        size_t len = strcspn(++p, "/");

        if (len == 0 || ++depth > PATH_DEPTH_MAX)
            return false;
        node = child(node, p, len);
        p += len;
    }
    if (node->routes[r->method] != NULL)
        return false;
    node->routes[r->method] = r;
    if (node->template == NULL)
        node->template = memory_text(r->path);
    return true;
}

static void finish_node(struct path_node *node) {
    struct buffer allow = {0};

    if (node->routes[HEAD] == NULL)
        node->routes[HEAD] = node->routes[GET];
    node->all_open = true;
    for (unsigned m = 0; m < OPTIONS; m++) {
        if (node->routes[m] == NULL)
            continue;
        node->all_open = node->all_open && node->routes[m]->open;
        buffer_format(&allow, "%s, ", method_names[m]);
    }
    buffer_text(&allow, method_names[OPTIONS]);
    node->allow = allow.data;
    for (struct path_node *n = node->children; n != NULL; n = n->sibling)
        finish_node(n);
}

static void free_node(struct path_node *node) {
    while (node != NULL) {
        struct path_node *next = node->sibling;

        free_node(node->children);
        free(node->literal);
        free(node->template);
        free(node->allow);
        free(node);
        node = next;
    }
}

static const char *fill(struct catalogue *c, struct json_object *json) {
    struct json_object *routes, *problems;

    if (!json_object_object_get_ex(json, "routes", &routes) ||
        !json_object_is_type(routes, json_type_array) ||
        !json_object_object_get_ex(json, "problems", &problems) ||
        !json_object_is_type(problems, json_type_array))
        return "it has no routes or no problems";
    c->routes = memory_zero(json_object_array_length(routes), sizeof(*c->routes));
    for (size_t i = 0; i < json_object_array_length(routes); i++) {
        struct route *r = &c->routes[c->route_count++];

        if (!parse_route(json_object_array_get_idx(routes, i), r) || !add_route(c, r))
            return "a route is malformed or stands there twice";
    }
    c->problems = memory_zero(json_object_array_length(problems), sizeof(*c->problems));
    for (size_t i = 0; i < json_object_array_length(problems); i++)
        if (!parse_problem(json_object_array_get_idx(problems, i),
                           &c->problems[c->problem_count++]))
            return "a problem is malformed";
    finish_node(c->root);
    return NULL;
}

struct catalogue *catalogue_parse(const char *text, const char **reason) {
    struct catalogue *c = memory_zero(1, sizeof(*c));
    struct json_object *json = json_tokener_parse(text);

    c->references = 1;
    c->text = memory_text(text);
    c->root = memory_zero(1, sizeof(*c->root));
    *reason = json != NULL ? fill(c, json) : "it is not JSON";
    json_object_put(json);
    if (*reason != NULL) {
        catalogue_drop(c);
        return NULL;
    }
    return c;
}

struct catalogue *catalogue_hold(struct catalogue *c) {
    if (c != NULL)
        c->references++;
    return c;
}

void catalogue_drop(struct catalogue *c) {
    if (c == NULL || --c->references > 0)
        return;
    for (size_t i = 0; i < c->route_count; i++) {
        free(c->routes[i].key);
        free(c->routes[i].path);
        free(c->routes[i].before);
        free(c->routes[i].intake);
        free(c->routes[i].lane);
    }
    for (size_t i = 0; i < c->problem_count; i++) {
        free(c->problems[i].type);
        free(c->problems[i].title);
    }
    free(c->routes);
    free(c->problems);
    free_node(c->root);
    free(c->text);
    free(c);
}

const struct problem *catalogue_problem(const struct catalogue *c, const char *sqlstate) {
    for (size_t i = 0; c != NULL && i < c->problem_count; i++)
        if (strcmp(c->problems[i].sqlstate, sqlstate) == 0)
            return &c->problems[i];
    return NULL;
}

static const struct path_node *match_from(const struct path_node *node,
                                          const struct segment *segments, unsigned count,
                                          struct match *m) {
    if (count == 0)
        return node->template != NULL ? node : NULL;
    for (const struct path_node *n = node->children; n != NULL; n = n->sibling) {
        const struct path_node *found;

        if (n->literal != NULL && (strlen(n->literal) != segments->len ||
                                   memcmp(n->literal, segments->at, segments->len) != 0))
            continue;
        if (n->literal == NULL)
            m->values[m->value_count++] = *segments;
        found = match_from(n, segments + 1, count - 1, m);
        if (found != NULL)
            return found;
        if (n->literal == NULL)
            m->value_count--;
    }
    return NULL;
}

void route_match(const struct catalogue *c, const char *path, size_t len, struct match *m) {
    struct segment segments[PATH_DEPTH_MAX];
    unsigned count = 0;
    size_t at = 0;

    m->node = NULL;
    m->value_count = 0;
    while (at < len && path[at] == '/' && at + 1 < len) {
        const char *start = path + ++at;
        const char *end = memchr(start, '/', len - at);
        size_t size = end != NULL ? (size_t) (end - start) : len - at;

        if (size == 0 || count == PATH_DEPTH_MAX)
            return;
        segments[count++] = (struct segment){start, size};
        at += size;
    }
    if (count > 0 && (at == len || (path[at] == '/' && at + 1 == len)))
        m->node = match_from(c->root, segments, count, m);
}
