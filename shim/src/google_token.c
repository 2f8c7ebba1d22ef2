#include "google_token.h"

#include "clock.h"
#include "digest.h"
#include "memory.h"
#include "secret.h"
#include "transfer.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCOPE     "https://www.googleapis.com/auth/drive.file"
#define GRANT     "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
#define ASSERTED  3600 /* seconds, the most that Google takes */
#define SPARE     60   /* seconds before its end from which on a token is not used */
#define LONGEST   86400
#define TOKEN_MAX 4096
#define TEXT_MAX  500 /* of the key file */
#define KEY_BITS  2048
#define PATIENCE  30 /* seconds for an exchange */

static struct {
    char *email, *key_id, *uri;
    EVP_PKEY *key;
    char *token;
    int64_t until;
    unsigned number;
    bool fresh; /* those who waited for it take it, however soon it ends */
    struct transfer *transfer;
    struct list waiting;
    struct token_fault fault;
} google = {.waiting = {&google.waiting, &google.waiting}};

static void forget_token(void) {
    if (google.token != NULL)
        OPENSSL_cleanse(google.token, strlen(google.token));
    free(google.token);
    google.token = NULL;
}

static void forget_key(void) {
    forget_token();
    EVP_PKEY_free(google.key);
    google.key = NULL;
    free(google.email);
    free(google.key_id);
    free(google.uri);
    google.email = google.key_id = google.uri = NULL;
}

const char *google_token(void) {
    return google.token != NULL && (google.fresh || clock_us() < google.until) ? google.token
                                                                               : NULL;
}

unsigned google_token_number(void) {
    return google.number;
}

void google_token_drop(unsigned number) {
    if (number == google.number)
        forget_token();
}

bool google_token_has_key(void) {
    return google.key != NULL;
}

const struct token_fault *google_token_fault(void) {
    return &google.fault;
}

/* Who begins to wait meanwhile waits for the next one. */
static void tell_waiting(void) {
    struct list now;

    list_init(&now);
    list_append(&google.waiting, &now);
    list_remove(&google.waiting);
    while (!list_empty(&now)) {
        struct token_wait *wait = list_item(now.next, struct token_wait, list);

        list_remove(&wait->list);
        wait->done(wait);
    }
}

static void fail(enum delivery_fault fault, unsigned retry_after, const char *what,
                 const char *detail) {
    google.fault = (struct token_fault){.fault = fault, .retry_after = retry_after};
    snprintf(google.fault.text, sizeof(google.fault.text), "%s%s", what, detail);
}

/* What may stand in a header, or in a text of ours, as it is. */
static bool is_plain(const char *text, size_t most) {
    size_t len = 0;

    for (; text[len] > ' ' && text[len] < 0x7f; len++)
        if (len == most)
            return false;
    return len > 0 && text[len] == '\0';
}

static void take_refusal(const struct transfer *t, struct json_object *reply) {
    unsigned status = transfer_status(t);
    const char *error = reply != NULL ? member_text(reply, "error") : "";
    char detail[64];

    /* RFC 6749, 5.2: a code, no text */
    snprintf(detail, sizeof(detail), "%u %s", status, is_plain(error, 40) ? error : "");
    if (status == 429 || status >= 500)
        fail(DELIVERY_AGAIN, transfer_retry_after(t),
             "Google gives no access token now: it answered ", detail);
    else
        fail(DELIVERY_CHANNEL, 0,
             "Google refuses the key of CLINICQ_DRIVE_KEY_FILE, or the clock is wrong: ", detail);
}

static void take_token(struct json_object *reply) {
    const char *token = reply != NULL ? member_text(reply, "access_token") : "";
    int64_t seconds = reply != NULL ? member_number(reply, "expires_in") : 0;

    if (!is_plain(token, TOKEN_MAX)) {
        fail(DELIVERY_AGAIN, 0, "Google's answer has no access token", "");
        return;
    }
    seconds = seconds < 0 ? 0 : seconds > LONGEST ? LONGEST : seconds;
    forget_token();
    google.token = memory_text(token);
    google.until = clock_us() + MS(1000) * (seconds - SPARE);
    google.number++;
}

static void exchanged(struct transfer *t, void *arg) {
    struct json_object *reply = transfer_json(t);

    (void) arg;
    if (transfer_fault(t) != NULL)
        fail(DELIVERY_AGAIN, 0, "no access token from Google: ", transfer_fault(t));
    else if (transfer_status(t) == 200)
        take_token(reply);
    else
        take_refusal(t, reply);
    json_object_put(reply);
    transfer_free(t);
    google.transfer = NULL;
    google.fresh = true;
    tell_waiting();
    google.fresh = false;
}

static void add_part(struct buffer *out, struct buffer *part) {
    digest_base64url(out, part->data, part->len);
    buffer_free(part);
}

/* Header and claims of the assertion (RFC 7515, 7519). */
static void write_claims(struct buffer *out) {
    struct buffer part = {0};
    long long now = (long long) time(NULL);

    buffer_text(&part, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
    if (google.key_id[0] != '\0') {
        buffer_text(&part, ",\"kid\":");
        buffer_json(&part, google.key_id, strlen(google.key_id));
    }
    buffer_char(&part, '}');
    add_part(out, &part);
    buffer_char(out, '.');
    buffer_text(&part, "{\"scope\":\"" SCOPE "\",\"iss\":");
    buffer_json(&part, google.email, strlen(google.email));
    buffer_text(&part, ",\"aud\":");
    buffer_json(&part, google.uri, strlen(google.uri));
    buffer_format(&part, ",\"iat\":%lld,\"exp\":%lld}", now, now + ASSERTED);
    add_part(out, &part);
}

static bool add_signature(struct buffer *out) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = (size_t) EVP_PKEY_get_size(google.key);
    struct buffer signature = {0};
    bool signed_;

    buffer_reserve(&signature, len);
    signed_ = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, google.key) == 1 &&
              EVP_DigestSign(context, (unsigned char *) signature.data, &len,
                             (const unsigned char *) out->data, out->len) == 1;
    EVP_MD_CTX_free(context);
    signature.len = signed_ ? len : 0;
    buffer_char(out, '.');
    add_part(out, &signature);
    return signed_;
}

static void start_exchange(void) {
    struct buffer assertion = {0}, form = {0};

    write_claims(&assertion);
    add_signature(&assertion); /* open() has tried it; one without is refused */
    buffer_text(&form, "grant_type=" GRANT "&assertion=");
    buffer_add(&form, assertion.data, assertion.len);
    google.transfer = transfer_new("POST", google.uri);
    transfer_header(google.transfer, "Content-Type: application/x-www-form-urlencoded");
    transfer_body(google.transfer, form.data, form.len);
    transfer_start(google.transfer, PATIENCE, exchanged, NULL);
    buffer_free(&assertion);
    buffer_free(&form);
}

void google_token_wait(struct token_wait *wait) {
    list_append(&google.waiting, &wait->list);
    if (google.transfer == NULL)
        start_exchange();
}

static EVP_PKEY *read_pem(const char *pem) {
    static char no_password[] = "";
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password);

    BIO_free(bio);
    if (key != NULL &&
        (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < KEY_BITS)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static const char *take_account(struct json_object *account) {
    const char *email = member_text(account, "client_email");
    const char *uri = member_text(account, "token_uri");
    const char *key_id = member_text(account, "private_key_id");
    struct buffer trial = {0};
    bool signs;

    if (strcmp(member_text(account, "type"), "service_account") != 0)
        return "it is not the key of a service account (type)";
    if (!is_plain(email, TEXT_MAX))
        return "client_email is missing or wrong";
    if (!is_plain(uri, TEXT_MAX) || strncmp(uri, "http", 4) != 0)
        return "token_uri is missing or no URL";
    if (key_id[0] != '\0' && !is_plain(key_id, TEXT_MAX))
        return "private_key_id is wrong";
    google.key = read_pem(member_text(account, "private_key"));
    if (google.key == NULL)
        return "private_key is missing, or no RSA key of 2048 bits or more in PEM";
    google.email = memory_text(email);
    google.uri = memory_text(uri);
    google.key_id = memory_text(key_id);
    write_claims(&trial);
    signs = add_signature(&trial);
    buffer_free(&trial);
    return signs ? NULL : "private_key does not sign";
}

static const char *read_account(const char *file) {
    const char *fault = NULL;
    char *text = secret_file(file, &fault);
    struct json_object *account;
    struct json_object *pem;

    if (text == NULL)
        return fault;
    account = json_tokener_parse(text);
    secret_free(text);
    if (!json_object_is_type(account, json_type_object)) {
        json_object_put(account);
        return "it is no JSON object";
    }
    fault = take_account(account);
    if (json_object_object_get_ex(account, "private_key", &pem) &&
        json_object_is_type(pem, json_type_string))
        OPENSSL_cleanse((char *) json_object_get_string(pem),
                        (size_t) json_object_get_string_len(pem));
    json_object_put(account);
    return fault;
}

const char *google_token_open(const char *file) {
    static char text[160];
    const char *fault;

    forget_key();
    if (google.transfer != NULL)
        transfer_free(google.transfer);
    google.transfer = NULL;
    fault = file[0] != '\0' ? read_account(file) : NULL;
    if (fault != NULL)
        forget_key();
    if (google.key == NULL) {
        fail(DELIVERY_CHANNEL, 0, "CLINICQ_DRIVE_KEY_FILE gives no key any more", "");
        tell_waiting();
    } else if (!list_empty(&google.waiting)) {
        start_exchange();
    }
    if (fault == NULL)
        return NULL;
    snprintf(text, sizeof(text), "CLINICQ_DRIVE_KEY_FILE: %s", fault);
    return text;
}

void google_token_close(void) {
    if (google.transfer != NULL)
        transfer_free(google.transfer);
    google.transfer = NULL;
    forget_key();
}
