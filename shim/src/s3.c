#include "s3.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* For a request with a small body, and bytes a second of the slowest line that is waited for. */
#define SECONDS   30
#define LINE_RATE 32768

struct s3_account s3_account;

void s3_request(struct s3_delivery *s, const char *method, const char *query, const char *sha256) {
    const struct s3_account *a = &s3_account;
    struct buffer text = {0};
    char empty[S3_HEX_SIZE];

    s3_hash("", 0, empty);
    transfer_free(s->transfer);
    buffer_format(&text, "%s%s%s", s->url.data, query[0] != '\0' ? "?" : "", query);
    s->transfer = transfer_new(method, text.data);
    text.len = 0;
    buffer_format(&text, "aws:amz:%s:s3", a->region);
    transfer_sign(s->transfer, text.data, a->access_key, a->secret_key);
    buffer_free(&text);
    transfer_header(s->transfer, "x-amz-content-sha256: %s", sha256 != NULL ? sha256 : empty);
}

void s3_describe(struct s3_delivery *s) {
    transfer_header(s->transfer, "Content-Type: %s", s->media_type);
    transfer_header(s->transfer, "x-amz-meta-sha256: %s", s->sha256);
}

static void more(void *arg) {
    struct s3_delivery *s = arg;

    transfer_resume(s->transfer);
}

static size_t read_image(void *arg, char *out, size_t room) {
    struct s3_delivery *s = arg;
    size_t n = image_read(s->image, out, room < s->left ? room : (size_t) s->left);

    if (n == TRANSFER_WAIT)
        return n;
    if (n == TRANSFER_BREAK || (n == 0 && s->left > 0)) {
        s->torn = true;
        return TRANSFER_BREAK;
    }
    s->left -= n;
    return n;
}

void s3_bytes(struct s3_delivery *s, uint64_t start, uint64_t length) {
    image_close(s->image);
    s->image = image_open(s->d, start, length, more, s);
    s->left = length;
    transfer_source(s->transfer, length, read_image, s);
}

static void answered(struct transfer *t, void *arg) {
    struct s3_delivery *s = arg;

    (void) t;
    image_close(s->image);
    s->image = NULL;
    s->next(s);
}

void s3_start(struct s3_delivery *s, uint64_t bytes, void (*next)(struct s3_delivery *s)) {
    s->next = next;
    transfer_start(s->transfer, SECONDS + (unsigned) (bytes / LINE_RATE), answered, s);
}

bool s3_element(const struct buffer *reply, const char *name, char *out, size_t size) {
    const char *from = NULL, *to;
    char tag[32];
    size_t len = (size_t) snprintf(tag, sizeof(tag), "<%s>", name);

    if (reply->len > 0)
        from = memmem(reply->data, reply->len, tag, len);
    if (from == NULL)
        return false;
    from += len;
    to = memchr(from, '<', reply->len - (size_t) (from - reply->data));
    if (to == NULL)
        return false;
    len = (size_t) (to - from);
    if (len == 0 || len >= size || memchr(from, '&', len) != NULL ||
        memchr(from, '\0', len) != NULL)
        return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return true;
}

bool s3_etag(const struct s3_delivery *s, char out[S3_ETAG_SIZE]) {
    const char *etag = transfer_reply_header(s->transfer, "ETag");
    size_t len = etag == NULL ? 0 : strlen(etag);

    if (len == 0 || len >= S3_ETAG_SIZE)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isgraph((unsigned char) etag[i]) || strchr("<>&", etag[i]) != NULL)
            return false;
    memcpy(out, etag, len + 1);
    return true;
}

/* Which of S3's codes mean something else than their status does. */
static const struct {
    const char *code;
    enum delivery_fault fault;
} codes[] = {
    {"AuthorizationHeaderMalformed", DELIVERY_CHANNEL}, /* another region */
    {"BadDigest", DELIVERY_AGAIN},
    {"ExpiredToken", DELIVERY_CHANNEL},
    {"IncompleteBody", DELIVERY_AGAIN},
    {"InternalError", DELIVERY_AGAIN},
    {"InvalidBucketName", DELIVERY_CHANNEL},
    {"InvalidPart", DELIVERY_AGAIN},
    {"InvalidPartOrder", DELIVERY_AGAIN},
    {"InvalidToken", DELIVERY_CHANNEL},
    {"NoSuchUpload", DELIVERY_AGAIN},
    {"RequestTimeout", DELIVERY_AGAIN},
    {"XAmzContentSHA256Mismatch", DELIVERY_AGAIN},
};

/* 200 comes here too: the end of an upload may be an error all the same. */
static enum delivery_fault judge(unsigned status, const char *code) {
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].fault;
    if (status < 300 || status == 408 || status == 409 || status == 429 || status >= 500)
        return DELIVERY_AGAIN;
    /* 3xx is another region's bucket, 404 no bucket */
    if (status < 400 || status == 401 || status == 403 || status == 404)
        return DELIVERY_CHANNEL;
    return DELIVERY_NEVER;
}

/* It may be told on: short, of letters and digits. */
static bool read_code(const struct buffer *reply, char code[S3_CODE_SIZE]) {
    if (s3_element(reply, "Code", code, S3_CODE_SIZE)) {
        size_t i = 0;

        while (isalnum((unsigned char) code[i]))
            i++;
        if (code[i] == '\0')
            return true;
    }
    code[0] = '\0';
    return false;
}

bool s3_succeeded(const struct s3_delivery *s, struct s3_fault *fault) {
    const char *why = transfer_fault(s->transfer);
    const struct buffer *reply = transfer_reply(s->transfer);
    unsigned status = transfer_status(s->transfer);
    char code[S3_CODE_SIZE];

    *fault = (struct s3_fault){.fault = DELIVERY_AGAIN};
    if (s->torn || why != NULL) {
        snprintf(fault->text, sizeof(fault->text), "%s",
                 s->torn ? "the database gave no more of the image" : why);
        return false;
    }
    read_code(reply, code);
    if (status >= 200 && status < 300 &&
        (reply->len == 0 || memmem(reply->data, reply->len, "<Error>", 7) == NULL))
        return true;
    fault->fault = judge(status, code);
    fault->no_bucket = strcmp(code, "NoSuchBucket") == 0;
    fault->retry_after = transfer_retry_after(s->transfer);
    snprintf(fault->text, sizeof(fault->text), "S3 answered %u%s%s", status,
             code[0] != '\0' ? " " : "", code);
    return false;
}

bool s3_is_stored(const struct s3_delivery *s) {
    const char *length = transfer_reply_header(s->transfer, "Content-Length");
    const char *sha256 = transfer_reply_header(s->transfer, "x-amz-meta-sha256");

    return length != NULL && strtoull(length, NULL, 10) == s->size && sha256 != NULL &&
           strcasecmp(sha256, s->sha256) == 0;
}

void s3_hash(const char *data, size_t len, char out[S3_HEX_SIZE]) {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    struct buffer hex = {0};

    EVP_Digest(data, len, bytes, NULL, EVP_sha256(), NULL);
    digest_hex(&hex, bytes, SHA256_SIZE);
    memcpy(out, hex.data, S3_HEX_SIZE);
    buffer_free(&hex);
}

void s3_stored(struct s3_delivery *s) {
    struct json_object *result = json_object_new_object();
    char etag[S3_ETAG_SIZE];

    json_object_object_add(result, "key", json_object_new_string(s->key.data));
    if (s3_etag(s, etag)) {
        size_t len = strlen(etag);
        bool quoted = len >= 2 && etag[0] == '"' && etag[len - 1] == '"';

        json_object_object_add(result, "etag",
                               json_object_new_string_len(etag + quoted, (int) (len - 2 * quoted)));
    }
    delivery_done(s->d, result);
}

void s3_failed(struct s3_delivery *s, const struct s3_fault *fault) {
    delivery_failed(s->d, fault->fault, fault->retry_after, "%s", fault->text);
}
