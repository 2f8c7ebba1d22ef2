/* Webhooks, as Standard Webhooks 1.0 has them (standardwebhooks.com): at least once, and in their
 * order, for the database gives out only the first of each endpoint that is not done. A second one
 * has the webhook-id of the first. */
#include "channel.h"

#include "base64.h"
#include "config.h"
#include "digest.h"
#include "secret.h"
#include "transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT_ONCE    16
#define SECONDS    15
#define KEY_MIN    24
#define KEYS_MOST  2 /* of one endpoint: the new one and the old, until the endpoint has the new */
#define KEY_PREFIX "whsec_"

/* A secret of an endpoint. */
struct key {
    struct key *next;
    int64_t webhook;
    char *bytes;
    size_t len;
};

static struct key *keys;

static void keys_free(struct key *first) {
    while (first != NULL) {
        struct key *next = first->next;

        explicit_bzero(first->bytes, first->len);
        free(first->bytes);
        free(first);
        first = next;
    }
}

static const struct key *key_of(const struct key *from, int64_t webhook) {
    while (from != NULL && from->webhook != webhook)
        from = from->next;
    return from;
}

/* Makes the bytes of a secret in place. */
static bool key_decode(char **secret, size_t *len) {
    *len = strlen(*secret);
    if (strncmp(*secret, KEY_PREFIX, strlen(KEY_PREFIX)) == 0) {
        *secret += strlen(KEY_PREFIX);
        *len = strlen(*secret);
        if (!base64_decode(*secret, len))
            return false;
    }
    return *len >= KEY_MIN;
}

/* "ID SECRET"; blank, and what # begins, is no line. */
static const char *key_read(struct key **list, char *line) {
    char *secret = line + strspn(line, " \t\r");
    struct key *key;
    unsigned before = 0;
    int64_t webhook;
    size_t len;

    if (*secret == '\0' || *secret == '#')
        return NULL;
    errno = 0;
    webhook = strtoll(secret, &line, 10);
    if (errno != 0 || webhook <= 0 || (*line != ' ' && *line != '\t'))
        return "must be the id of a webhook, a blank and its secret";
    secret = line + strspn(line, " \t");
    line = secret + strcspn(secret, " \t\r");
    if (line[strspn(line, " \t\r")] != '\0')
        return "has more than an id and a secret, which is without blanks";
    *line = '\0';
    if (!key_decode(&secret, &len))
        return "must have a secret of at least 24 characters, or whsec_ and base64 of at least 24 bytes";
    for (const struct key *k = key_of(*list, webhook); k != NULL; k = key_of(k->next, webhook))
        before++;
    if (before >= KEYS_MOST)
        return "is the third of its webhook, which has two secrets at the most";
    key = memory_zero(1, sizeof(*key));
    key->webhook = webhook;
    key->len = len;
    key->bytes = memory_alloc(len);
    memcpy(key->bytes, secret, len);
    key->next = *list;
    *list = key;
    return NULL;
}

static const char *keys_read(struct key **list, char *text) {
    static char said[160];
    unsigned number = 0;
    char *line;

    while ((line = strsep(&text, "\n")) != NULL) {
        const char *fault = key_read(list, line);

        number++;
        if (fault != NULL) {
            snprintf(said, sizeof(said), "line %u of CLINICQ_WEBHOOK_SECRETS_FILE %s", number,
                     fault);
            return said;
        }
    }
    return NULL;
}

/* The old ones stay where the new ones are not right. */
static const char *webhook_open(const struct config *c) {
    static char said[160];
    struct key *list = NULL;
    const char *fault = NULL;

    if (c->webhook_secrets_file[0] != '\0') {
        char *text = secret_file(c->webhook_secrets_file, &fault);
        size_t size = text != NULL ? strlen(text) : 0;

        if (text == NULL) {
            snprintf(said, sizeof(said), "CLINICQ_WEBHOOK_SECRETS_FILE: %s", fault);
            return said;
        }
        fault = keys_read(&list, text);
        explicit_bzero(text, size); /* its lines end in NULs by now */
        secret_free(text);
    }
    if (fault != NULL) {
        keys_free(list);
        return fault;
    }
    keys_free(keys);
    keys = list;
    return NULL;
}

static void webhook_close(void) {
    keys_free(keys);
    keys = NULL;
}

static const char *webhook_configure(struct json_object *settings) {
    (void) settings;
    return NULL;
}

/* Adds a signature by each secret, with blanks between them. */
static void sign(struct buffer *out, int64_t webhook, const char *token, int64_t now,
                 const char *body) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct buffer content = {0};

    buffer_format(&content, "%s.%lld.%s", token, (long long) now, body);
    for (const struct key *k = key_of(keys, webhook); k != NULL; k = key_of(k->next, webhook)) {
        size_t len = digest_hmac(EVP_sha256(), k->bytes, k->len, content.data, content.len, digest);

        buffer_text(out, out->len > 0 ? " v1," : "v1,");
        base64_encode(out, (const char *) digest, len);
    }
    buffer_free(&content);
}

/* The status says it all, also where the body behind it is too long or lost. */
static void webhook_answered(struct transfer *t, void *arg) {
    struct delivery *d = arg;
    unsigned status = transfer_status(t);

    if (status == 0) {
        delivery_failed(d, DELIVERY_AGAIN, 0, "%s", transfer_fault(t));
    } else if (status / 100 == 2) {
        struct json_object *result = json_object_new_object();

        json_object_object_add(result, "status", json_object_new_int64(status));
        delivery_done(d, result);
    } else if (status / 100 == 3) {
        delivery_failed(d, DELIVERY_AGAIN, 0,
                        "the endpoint answered %u: it leads elsewhere, which is not followed; give "
                        "the webhook the address that it leads to",
                        status);
    } else {
        delivery_failed(d, status == 410 ? DELIVERY_NEVER : DELIVERY_AGAIN, transfer_retry_after(t),
                        "the endpoint answered %u", status);
    }
}

static void webhook_send(struct delivery *d) {
    int64_t webhook = member_number(d->work, "webhook");
    const char *body = member_text(d->work, "body");
    int64_t now = (int64_t) time(NULL);
    struct buffer signatures = {0};
    struct transfer *t;

    sign(&signatures, webhook, d->token, now, body);
    if (signatures.len == 0) {
        delivery_failed(d, DELIVERY_AGAIN, 0,
                        "webhook %lld has no secret: add a line for it to the file of "
                        "CLINICQ_WEBHOOK_SECRETS_FILE and send SIGHUP to the deliverer",
                        (long long) webhook);
        return;
    }
    t = transfer_new("POST", member_text(d->work, "url"));
    d->state = t;
    transfer_header(t, "Content-Type: application/json");
    transfer_header(t, "webhook-id: %s", d->token);
    transfer_header(t, "webhook-timestamp: %lld", (long long) now);
    transfer_header(t, "webhook-signature: %s", signatures.data);
    buffer_free(&signatures);
    transfer_body(t, body, strlen(body));
    transfer_start(t, SECONDS, webhook_answered, d);
}

static void webhook_end(struct delivery *d) {
    if (d->state != NULL)
        transfer_free(d->state);
    d->state = NULL;
}

const struct channel channel_webhook = {
    .name = "webhook",
    .at_once = AT_ONCE,
    .open = webhook_open,
    .configure = webhook_configure,
    .send = webhook_send,
    .end = webhook_end,
    .close = webhook_close,
};
