/* Images in a bucket of S3 or of what speaks its language. An object's name is the SHA-256 of what
 * is in it, so storing it twice stores it once. */
#include "channel.h"

#include "config.h"
#include "s3.h"
#include "secret.h"

#include <stdlib.h>
#include <string.h>

#define ENDPOINT_MAX 500
#define REGION_MAX   40
#define KEY_MAX      900
#define LOWER        "abcdefghijklmnopqrstuvwxyz0123456789"
#define UNRESERVED   LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~"

static void put_text(char **place, const char *text) {
    free(*place);
    *place = memory_text(text);
}

static void forget_secrets(void) {
    secret_free(s3_account.secret_key);
    secret_free(s3_account.access_key);
    s3_account.secret_key = s3_account.access_key = NULL;
}

static const char *open_s3(const struct config *c) {
    static char text[120];
    const char *fault = NULL;

    forget_secrets();
    if (c->s3_access_key[0] == '\0')
        return "CLINICQ_S3_ACCESS_KEY is not set";
    s3_account.secret_key = secret_read(c->s3_secret_key, c->s3_secret_key_file, &fault);
    if (s3_account.secret_key == NULL) {
        snprintf(text, sizeof(text), "CLINICQ_S3_SECRET_KEY, or its _FILE: %s", fault);
        return text;
    }
    s3_account.access_key = memory_text(c->s3_access_key);
    return NULL;
}

static bool consists_of(const char *text, size_t least, size_t most, const char *characters) {
    size_t len = strlen(text);

    return len >= least && len <= most && strspn(text, characters) == len;
}

/* A path that is signed as it stands, and that libcurl leaves as it is. */
static bool is_path(const char *text) {
    return strstr(text, "//") == NULL && strstr(text, "/.") == NULL && text[0] != '/' &&
           text[0] != '.';
}

/* Without a user, a query, and a slash at its end. */
static bool is_endpoint(const char *text) {
    bool http = strncmp(text, "http://", 7) == 0;

    if (!http && strncmp(text, "https://", 8) != 0)
        return false;
    text += http ? 7 : 8;
    return consists_of(text, 1, ENDPOINT_MAX, UNRESERVED ":/[]") && is_path(text) &&
           text[strlen(text) - 1] != '/';
}

static bool is_key(const char *text) {
    return consists_of(text, 0, KEY_MAX, UNRESERVED "/") && is_path(text);
}

static const char *settings_fault(struct json_object *settings) {
    if (!is_endpoint(member_text(settings, "endpoint")))
        return "the setting s3_endpoint has to be an address such as "
               "https://s3.eu-west-1.amazonaws.com";
    if (!consists_of(member_text(settings, "region"), 1, REGION_MAX, LOWER "-"))
        return "the setting s3_region has to be the name of a region, such as eu-west-1; us-east-1 "
               "where the store has none";
    if (!consists_of(member_text(settings, "bucket"), 3, 63, LOWER "-."))
        return "the setting s3_bucket has to be the name of a bucket: 3 to 63 small letters, "
               "digits, hyphens and dots";
    if (!is_key(member_text(settings, "prefix")))
        return "the setting s3_prefix has to be what the names of objects begin with, such as "
               "clinic/images/, and no part of it may begin with a dot";
    return NULL;
}

static const char *configure_s3(struct json_object *settings) {
    const char *fault = settings_fault(settings);

    if (fault != NULL)
        return fault;
    put_text(&s3_account.endpoint, member_text(settings, "endpoint"));
    put_text(&s3_account.region, member_text(settings, "region"));
    put_text(&s3_account.bucket, member_text(settings, "bucket"));
    put_text(&s3_account.prefix, member_text(settings, "prefix"));
    return NULL;
}

static const char *ending(const char *media_type) {
    static const char *const types[][2] = {
        {"image/jpeg", ".jpg"},  {"image/png", ".png"},       {"image/webp", ".webp"},
        {"image/heic", ".heic"}, {"application/pdf", ".pdf"},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i][0], media_type) == 0)
            return types[i][1];
    return "";
}

/* The answer to one request that carries the object itself, or nothing. */
static void stored(struct s3_delivery *s) {
    struct s3_fault fault;

    if (s3_succeeded(s, &fault))
        s3_stored(s);
    else
        s3_failed(s, &fault);
}

static void store(struct s3_delivery *s) {
    if (s->size > S3_PART * S3_PARTS_MAX) {
        delivery_failed(s->d, DELIVERY_UNFIT, 0, "the image is too large for S3");
    } else if (s->size > S3_PART) {
        s3_upload_begin(s);
    } else {
        s3_request(s, "PUT", "", s->sha256);
        s3_describe(s);
        s3_bytes(s, 0, s->size);
        s3_start(s, s->size, stored);
    }
}

/* 403 is also the answer where the object is not there and who asks may not list the bucket. */
static void looked(struct s3_delivery *s) {
    struct s3_fault fault;
    bool answered = s3_succeeded(s, &fault);

    if (answered && s3_is_stored(s))
        s3_stored(s);
    else if (!answered && fault.fault == DELIVERY_AGAIN)
        s3_failed(s, &fault);
    else
        store(s);
}

static void look(struct s3_delivery *s) {
    s3_request(s, "HEAD", "", NULL);
    s3_start(s, 0, looked);
}

static void removed(struct s3_delivery *s) {
    struct s3_fault fault;

    if (s3_succeeded(s, &fault) || (transfer_status(s->transfer) == 404 && !fault.no_bucket))
        delivery_done(s->d, NULL);
    else
        s3_failed(s, &fault);
}

static void remove_object(struct s3_delivery *s) {
    s3_request(s, "DELETE", "", NULL);
    s3_start(s, 0, removed);
}

/* One that is to be removed is called what it was called when it was stored, as far as that is
 * known. */
static void name_object(struct s3_delivery *s) {
    const char *key = member_text(s->d->work, "key");

    if (key[0] != '\0' && is_key(key))
        buffer_text(&s->key, key);
    else
        buffer_format(&s->key, "%s%s%s", s3_account.prefix, s->sha256, ending(s->media_type));
}

static void send_s3(struct delivery *d) {
    struct s3_delivery *s = d->state = memory_zero(1, sizeof(*s));
    int64_t size = member_number(d->work, "size");

    s->d = d;
    s->sha256 = member_text(d->work, "sha256");
    s->media_type = member_text(d->work, "media_type");
    s->size = size > 0 ? (uint64_t) size : 0;
    if (!consists_of(s->sha256, S3_HEX_SIZE - 1, S3_HEX_SIZE - 1, "0123456789abcdef")) {
        delivery_failed(d, DELIVERY_UNFIT, 0, "the delivery names no image");
        return;
    }
    name_object(s);
    buffer_format(&s->url, "%s/%s/%s", s3_account.endpoint, s3_account.bucket, s->key.data);
    if (json_object_get_boolean(json_object_object_get(d->work, "remove")))
        remove_object(s);
    else if (d->attempt > 1)
        look(s);
    else
        store(s);
}

static void end_s3(struct delivery *d) {
    struct s3_delivery *s = d->state;

    if (s == NULL)
        return;
    transfer_free(s->transfer);
    image_close(s->image);
    s3_upload_free(s);
    buffer_free(&s->key);
    buffer_free(&s->url);
    free(s);
    d->state = NULL;
}

static void close_s3(void) {
    struct s3_account *a = &s3_account;

    forget_secrets();
    free(a->endpoint);
    free(a->region);
    free(a->bucket);
    free(a->prefix);
    *a = (struct s3_account){0};
}

const struct channel channel_s3 = {
    .name = "s3",
    .at_once = 4,
    .open = open_s3,
    .configure = configure_s3,
    .send = send_s3,
    .end = end_s3,
    .close = close_s3,
};
