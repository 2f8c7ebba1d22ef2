#include "signature.h"

#include "base64.h"
#include "call.h"
#include "config.h"
#include "digest.h"
#include "log.h"
#include "query.h"
#include "secret.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char *token;
    bool missed; /* it was needed, and the log has been told */
} twilio;

void signature_open(const struct config *c) {
    const char *fault = NULL;
    char *token;

    if (c->twilio_token[0] == '\0' && c->twilio_token_file[0] == '\0')
        return;
    token = secret_read(c->twilio_token, c->twilio_token_file, &fault);
    if (token == NULL) {
        log_event(LOG_ERROR, "CLINICQ_TWILIO_TOKEN: %s; what Twilio tells %s", fault,
                  twilio.token != NULL ? "is judged by the token of before" : "is refused");
        return;
    }
    secret_free(twilio.token);
    twilio.token = token;
    twilio.missed = false;
}

void signature_close(void) {
    secret_free(twilio.token);
    twilio.token = NULL;
}

struct field {
    const char *name;
    struct json_object *value;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct field *) a)->name, ((const struct field *) b)->name);
}

/* Each name and its value, sorted by name. They are read as they will be for the database, so that
 * what it is given is what was signed, also where a name comes twice. */
static bool add_fields(struct buffer *text, const struct request *r) {
    struct json_object *form = json_object_new_object();
    bool readable = query_parse(form, r->body.data, r->body.len) == QUERY_OK;
    size_t count = 0;
    struct field *fields =
        memory_zero((size_t) json_object_object_length(form) + 1, sizeof(*fields));

    json_object_object_foreach (form, name, value)
        fields[count++] = (struct field){name, value};
    qsort(fields, count, sizeof(*fields), compare_names);
    for (size_t i = 0; i < count; i++) {
        buffer_text(text, fields[i].name);
        buffer_add(text, json_object_get_string(fields[i].value),
                   (size_t) json_object_get_string_len(fields[i].value));
    }
    free(fields);
    json_object_put(form);
    return readable;
}

/* Of the request that goes to this port; "" for an address that names none. */
static bool is_signed(const struct request *r, const char *base, size_t base_len, const char *port,
                      const struct buffer *fields) {
    struct buffer text = {0};
    struct buffer expected = {0};
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t len;
    bool equal;

    buffer_add(&text, base, base_len);
    buffer_text(&text, port);
    buffer_text(&text, r->path); /* the query behind it */
    buffer_add(&text, fields->data, fields->len);
    len = digest_hmac(EVP_sha1(), twilio.token, strlen(twilio.token), text.data, text.len, mac);
    base64_encode(&expected, (const char *) mac, len);
    equal = strlen(r->signature) == expected.len &&
            digest_equal(r->signature, expected.data, expected.len);
    buffer_free(&expected);
    buffer_free(&text);
    return equal;
}

/* Twilio signs the address with a port or without one, whichever way it was given; its own
 * libraries take both. */
static bool is_from_twilio(struct request *r) {
    const char *base = call_base_url(r);
    const char *host = strstr(base, "://") + 3;
    const char *bracket = strchr(host, ']');
    const char *port = strchr(bracket != NULL ? bracket : host, ':');
    size_t base_len = port != NULL ? (size_t) (port - base) : strlen(base);
    struct buffer fields = {0};
    bool holds;

    if (port == NULL)
        port = strncmp(base, "https", 5) == 0 ? ":443" : ":80";
    holds = add_fields(&fields, r) && (is_signed(r, base, base_len, port, &fields) ||
                                       is_signed(r, base, base_len, "", &fields));
    buffer_free(&fields);
    return holds;
}

bool signature_holds(struct request *r) {
    if (r->route == NULL || r->route->signature == SIGNATURE_NONE)
        return true;
    if (twilio.token == NULL && !twilio.missed) {
        twilio.missed = true;
        log_event(LOG_WARNING, "CLINICQ_TWILIO_TOKEN is not set; what Twilio tells is refused");
    }
    return twilio.token != NULL && r->signature != NULL && call_is_form(r) && is_from_twilio(r);
}
