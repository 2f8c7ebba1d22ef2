#include "channel.h"

#include "config.h"
#include "digest.h"
#include "log.h"
#include "memory.h"
#include "query.h"
#include "secret.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Twilio's Messages resource. A message that was sent cannot be named by us beforehand, so an
 * attempt after the first looks among the messages to this number for a text of an earlier one. */

#define API         "/2010-04-01/Accounts/"
#define TIMEOUT     30
#define PAGE_SIZE   5 /* the longest texts, with each character escaped, fit into an answer */
#define PAGES_MAX   40
#define PAGE_MAX    2000 /* bytes of the address of a page */
#define DAY         86400
#define CLOCKS      120 /* seconds that Twilio's clock and ours may be apart */
#define SID_DIGITS  32
#define TRIAL       "Sent from your Twilio trial account - "
#define RATE_CODE   20429
#define QUEUED_CODE 21611 /* the sender has too many messages waiting */

static struct {
    char *url;
    char *token;
    char *account;
    char *from;
    char *public_url;
} sms;

struct sms_state {
    struct transfer *transfer;
    time_t since; /* before the first attempt */
    unsigned pages;
};

/* Which errors of Twilio's say that our sender, credentials or addresses are wrong, whoever the
 * message is for. */
static const int64_t channel_codes[] = {
    20003,                      /* credentials */
    20005,                      /* the account is not active */
    20008,                      /* credentials for tests only */
    20404,                      /* no such account */
    21212,                      /* not a sender */
    21603,                      /* no sender */
    21606,                      /* not a sender of this account */
    21609,                      /* the address for statuses cannot be called */
    21659, 21660,               /* the sender is of another account, or none */
    21701, 21703, 21704, 21705, /* the messaging service has no sender, or is none */
    21910,                      /* sender and number do not go together */
};

static bool is_channel_code(int64_t code) {
    for (size_t i = 0; i < sizeof(channel_codes) / sizeof(channel_codes[0]); i++)
        if (channel_codes[i] == code)
            return true;
    return false;
}

static void replace(char **at, const char *text) {
    free(*at);
    *at = text != NULL ? memory_text(text) : NULL;
}

/* An address that paths are put behind. */
static void replace_base(char **at, const char *url) {
    size_t len = strlen(url);

    replace(at, url);
    if (len > 0 && url[len - 1] == '/')
        (*at)[len - 1] = '\0';
}

static const char *sms_open(const struct config *c) {
    static char missing[128];
    const char *fault = NULL;
    char *token = secret_read(c->twilio_token, c->twilio_token_file, &fault);

    if (token == NULL) {
        snprintf(missing, sizeof(missing), "CLINICQ_TWILIO_TOKEN: %s", fault);
        return missing;
    }
    secret_free(sms.token);
    sms.token = token;
    replace_base(&sms.url, c->twilio_url);
    return NULL;
}

static bool is_sid(const char *text, const char *kind) {
    return strncmp(text, kind, 2) == 0 && strlen(text) == 2 + SID_DIGITS &&
           strspn(text + 2, "0123456789abcdefABCDEF") == SID_DIGITS;
}

static const char *sms_configure(struct json_object *settings) {
    const char *account = member_text(settings, "account");
    const char *from = member_text(settings, "from");
    const char *public_url = member_text(settings, "public_url");

    if (!is_sid(account, "AC"))
        return "the setting sms_account is not the SID of an account (AC and 32 "
               "digits)";
    if (from[0] == '\0')
        return "the setting sms_from names no sender";
    replace(&sms.account, account);
    replace(&sms.from, from);
    replace_base(&sms.public_url, public_url);
    return NULL;
}

static void sms_close(void) {
    secret_free(sms.token);
    sms.token = NULL;
    replace(&sms.url, NULL);
    replace(&sms.account, NULL);
    replace(&sms.from, NULL);
    replace(&sms.public_url, NULL);
}

static void sms_end(struct delivery *d) {
    struct sms_state *s = d->state;

    if (s == NULL)
        return;
    transfer_free(s->transfer);
    free(s);
    d->state = NULL;
}

static void add_field(struct buffer *form, const char *name, const char *value) {
    if (form->len > 0)
        buffer_char(form, '&');
    buffer_format(form, "%s=", name);
    percent_encode(form, value);
}

static void begin(struct delivery *d, const char *method, const char *url) {
    struct sms_state *s = d->state;
    CURL *easy;

    transfer_free(s->transfer);
    s->transfer = transfer_new(method, url);
    easy = transfer_easy(s->transfer);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_USERNAME, sms.account);
    curl_easy_setopt(easy, CURLOPT_PASSWORD, sms.token);
    transfer_header(s->transfer, "Accept: application/json");
}

/* What an answer that is no success says; the texts of Twilio's errors quote
 * numbers. */
static void refused(struct delivery *d) {
    struct transfer *t = ((struct sms_state *) d->state)->transfer;
    unsigned status = transfer_status(t);
    unsigned retry_after = transfer_retry_after(t);
    struct json_object *answer = transfer_json(t);
    int64_t code = answer != NULL ? member_number(answer, "code") : 0;
    enum delivery_fault fault = DELIVERY_AGAIN;

    json_object_put(answer);
    if (code < 0 || code > 999999)
        code = 0;
    if (status == 401 || status == 403 || status == 404 || is_channel_code(code))
        fault = DELIVERY_CHANNEL;
    else if (status >= 400 && status < 500 && status != 408 && status != 429 && code != RATE_CODE &&
             code != QUEUED_CODE)
        fault = DELIVERY_NEVER;
    if (code != 0)
        delivery_failed(d, fault, retry_after, "Twilio: refused (%u, error %u)", status,
                        (unsigned) code);
    else
        delivery_failed(d, fault, retry_after, "Twilio: refused (%u)", status);
}

/* Numbers come as texts. */
static void add_result(struct json_object *result, const char *name, struct json_object *message,
                       const char *member, size_t max) {
    const char *text = member_text(message, member);

    if (text[0] != '\0' && strlen(text) <= max)
        json_object_object_add(result, name, json_object_new_string(text));
}

/* False where it is no message. */
static bool succeed(struct delivery *d, struct json_object *message) {
    const char *sid = member_text(message, "sid");
    long segments = strtol(member_text(message, "num_segments"), NULL, 10);
    int64_t error = member_number(message, "error_code");
    struct json_object *result;

    if (!is_sid(sid, "SM") && !is_sid(sid, "MM"))
        return false;
    result = json_object_new_object();
    json_object_object_add(result, "sid", json_object_new_string(sid));
    add_result(result, "status", message, "status", 20);
    if (segments > 0 && segments < 1000)
        json_object_object_add(result, "segments", json_object_new_int64(segments));
    add_result(result, "price", message, "price", 20);
    add_result(result, "currency", message, "price_unit", 3);
    if (error > 0)
        json_object_object_add(result, "error_code", json_object_new_int64(error));
    delivery_done(d, result);
    return true;
}

static bool is_good(const struct transfer *t) {
    return transfer_fault(t) == NULL && transfer_status(t) >= 200 && transfer_status(t) < 300;
}

/* Whether there is no success, which has been told. */
static bool failed(struct delivery *d, const struct transfer *t) {
    if (is_good(t))
        return false;
    if (transfer_fault(t) != NULL)
        delivery_failed(d, DELIVERY_AGAIN, 0, "Twilio: %s", transfer_fault(t));
    else
        refused(d);
    return true;
}

static void posted(struct transfer *t, void *arg) {
    struct delivery *d = arg;
    struct json_object *answer;

    if (failed(d, t))
        return;
    answer = transfer_json(t);
    if (answer == NULL || !succeed(d, answer))
        delivery_failed(d, DELIVERY_AGAIN, 0, "Twilio: the answer is no message");
    json_object_put(answer);
}

static void post(struct delivery *d) {
    struct sms_state *s = d->state;
    struct buffer url = {0};
    struct buffer form = {0};
    struct buffer callback = {0};

    if (!delivery_is_ours(d)) {
        delivery_failed(d, DELIVERY_AGAIN, 0, "its time was over before it was sent");
        return;
    }
    buffer_format(&url, "%s" API "%s/Messages.json", sms.url, sms.account);
    add_field(&form, "To", member_text(d->work, "to"));
    add_field(&form, "Body", member_text(d->work, "body"));
    add_field(&form, strncmp(sms.from, "MG", 2) == 0 ? "MessagingServiceSid" : "From", sms.from);
    if (sms.public_url[0] != '\0') {
        buffer_format(&callback, "%s/api/deliveries/%s/sms/", sms.public_url, d->token);
        add_field(&form, "StatusCallback", callback.data);
    }
    begin(d, "POST", url.data);
    transfer_header(s->transfer, "Content-Type: application/x-www-form-urlencoded");
    transfer_body(s->transfer, form.data, form.len);
    transfer_start(s->transfer, TIMEOUT, posted, d);
    buffer_free(&url);
    buffer_free(&form);
    buffer_free(&callback);
}

/* The time of an RFC 2822 date; 0 for none. */
static time_t created_at(struct json_object *message) {
    time_t at = curl_getdate(member_text(message, "date_created"), NULL);

    return at > 0 ? at : 0;
}

/* Whether an attempt of this delivery had that text for that number: the database has noted a hash
 * of each. */
static bool was_sent(const struct delivery *d, const char *to, const char *body) {
    struct json_object *sent = json_object_object_get(d->work, "sent");
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    struct buffer text = {0};
    struct buffer hex = {0};
    bool found = false;

    buffer_format(&text, "%s\n%s", to, body);
    if (EVP_Digest(text.data, text.len, hash, &size, EVP_sha256(), NULL) != 1)
        log_fatal("SHA-256 failed");
    digest_hex(&hex, hash, size);
    for (size_t i = 0;
         json_object_is_type(sent, json_type_array) && !found && i < json_object_array_length(sent);
         i++) {
        const char *known = json_object_get_string(json_object_array_get_idx(sent, i));

        found = known != NULL && strcmp(known, hex.data) == 0;
    }
    buffer_free(&text);
    buffer_free(&hex);
    return found;
}

static bool is_ours(const struct delivery *d, struct json_object *message) {
    const struct sms_state *s = d->state;
    const char *body = member_text(message, "body");

    if (strncmp(body, TRIAL, strlen(TRIAL)) == 0)
        body += strlen(TRIAL);
    return was_sent(d, member_text(message, "to"), body) &&
           strncmp(member_text(message, "direction"), "outbound", 8) == 0 &&
           created_at(message) >= s->since;
}

static void look(struct delivery *d, const char *page);

/* The address of the next page, on the same host; NULL where none can have what
 * is looked for: the newest messages come first. */
static const char *next_page(const struct sms_state *s, struct json_object *answer,
                             const struct json_object *messages) {
    const char *page = member_text(answer, "next_page_uri");
    size_t count = json_object_array_length(messages);
    time_t newest = 0;

    for (size_t i = 0; i < count; i++) {
        time_t at = created_at(json_object_array_get_idx(messages, i));

        newest = at > newest ? at : newest;
    }
    return strncmp(page, API, strlen(API)) == 0 && strlen(page) <= PAGE_MAX && newest >= s->since &&
                   s->pages < PAGES_MAX
               ? page
               : NULL;
}

static void looked(struct transfer *t, void *arg) {
    struct delivery *d = arg;
    struct json_object *answer, *messages;
    bool found = false;

    if (failed(d, t))
        return;
    answer = transfer_json(t);
    if (answer == NULL || !json_object_object_get_ex(answer, "messages", &messages) ||
        !json_object_is_type(messages, json_type_array)) {
        json_object_put(answer);
        delivery_failed(d, DELIVERY_AGAIN, 0, "Twilio: the answer is no list of messages");
        return;
    }
    for (size_t i = 0; i < json_object_array_length(messages) && !found; i++) {
        struct json_object *message = json_object_array_get_idx(messages, i);

        found = is_ours(d, message) && succeed(d, message);
    }
    if (!found) {
        const char *page = next_page(d->state, answer, messages);

        if (page != NULL)
            look(d, page);
        else
            post(d);
    }
    json_object_put(answer);
}

/* Messages to the number. Those that have not left yet have no time of sending,
 * so that is not asked for. */
static void look(struct delivery *d, const char *page) {
    struct sms_state *s = d->state;
    struct buffer url = {0};

    buffer_text(&url, sms.url);
    if (page != NULL) {
        buffer_text(&url, page);
    } else {
        buffer_format(&url, API "%s/Messages.json?PageSize=%d&To=", sms.account, PAGE_SIZE);
        percent_encode(&url, member_text(d->work, "to"));
    }
    s->pages++;
    begin(d, "GET", url.data);
    transfer_start(s->transfer, TIMEOUT, looked, d);
    buffer_free(&url);
}

/* RFC 3339, in UTC; without it, a day ago. */
static time_t read_since(const char *text) {
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    return end != NULL ? timegm(&tm) - CLOCKS : time(NULL) - DAY;
}

static void sms_send(struct delivery *d) {
    struct sms_state *s = memory_zero(1, sizeof(*s));

    d->state = s;
    s->since = read_since(member_text(d->work, "since"));
    if (d->attempt > 1)
        look(d, NULL);
    else
        post(d);
}

const struct channel channel_sms = {
    .name = "sms",
    .at_once = 8,
    .open = sms_open,
    .configure = sms_configure,
    .send = sms_send,
    .end = sms_end,
    .close = sms_close,
};
