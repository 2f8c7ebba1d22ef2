#include "headers.h"

#include "proxy.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define TOKEN_MAX 128

static bool is_token_char(unsigned char c) {
    /* RFC 9110, 5.6.2 */
    return isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool valid_name(const char *name, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!is_token_char((unsigned char) name[i]))
            return false;
    return len > 0;
}

/* libmicrohttpd 0.9.75 joins a folded line to the name of its header; how long a message is must
 * not get lost that way. */
static bool is_folded_framing(const char *name, size_t len) {
    static const char *const framing[] = {"Content-Length", "Transfer-Encoding"};

    for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++)
        if (len > strlen(framing[i]) && strncasecmp(name, framing[i], strlen(framing[i])) == 0)
            return true;
    return false;
}

static bool valid_value(const char *value, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) value[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool valid_request_id(const char *id, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char) id[i]) && strchr("._-", id[i]) == NULL)
            return false;
    return len > 0 && len <= REQUEST_ID_MAX;
}

/* W3C Trace Context, version 00: 00-<32 hex>-<16 hex>-<2 hex> */
static bool valid_traceparent(const char *value, size_t len) {
    static const char hex[] = "0123456789abcdef";

    return len == 55 && strncmp(value, "00-", 3) == 0 && strspn(value + 3, hex) == 32 &&
           value[35] == '-' && strspn(value + 36, hex) == 16 && value[52] == '-' &&
           strspn(value + 53, hex) == 2 && strspn(value + 3, "0") != 32 &&
           strspn(value + 36, "0") != 16;
}

static void read_length(struct request *r, const char *value, size_t len) {
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9' || n > (UINT64_MAX - 9) / 10) {
            r->malformed = true;
            return;
        }
        n = n * 10 + (uint64_t) (value[i] - '0');
    }
    if (len == 0 || (r->has_length && r->content_length != n))
        r->malformed = true;
    r->has_length = true;
    r->content_length = n;
}

/* A header that must not come twice. */
static void only_one(struct request *r, const char **slot, const char *value) {
    if (*slot != NULL)
        r->malformed = true;
    *slot = value;
}

/* The header may come more than once; all of it is one list. */
static void add_to_list(struct request *r, const char **list, const char *value, size_t len) {
    size_t before = *list != NULL ? strlen(*list) : 0;
    char *all = arena_alloc(&r->arena, before + len + 2);

    if (before > 0)
        memcpy(all, *list, before);
    all[before] = ',';
    memcpy(all + before + 1, value, len);
    all[before + 1 + len] = '\0';
    *list = all;
}

static enum MHD_Result read_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len) {
    struct request *r = arg;

    (void) kind;
    if (value == NULL) {
        value = "";
        value_len = 0;
    }
    r->memory += name_len + value_len + REQUEST_RECORD;
    if (!valid_name(name, name_len) || !valid_value(value, value_len) ||
        is_folded_framing(name, name_len)) {
        r->malformed = true;
        return MHD_YES;
    }
#define IS(text) (name_len == sizeof(text) - 1 && strncasecmp(name, text, name_len) == 0)
    if (IS("Host")) {
        only_one(r, &r->host, value);
    } else if (IS("Accept")) {
        r->wants_problem =
            r->wants_problem || strcasestr(value, "application/problem+json") != NULL;
    } else if (IS("Origin")) {
        only_one(r, &r->origin, value);
    } else if (IS("Content-Type")) {
        only_one(r, &r->content_type, value);
    } else if (IS("Authorization")) {
        only_one(r, &r->authorization, value);
    } else if (IS("Idempotency-Key")) {
        only_one(r, &r->idempotency_key, value);
    } else if (IS("If-Match")) {
        add_to_list(r, &r->if_match, value, value_len);
    } else if (IS("If-None-Match")) {
        add_to_list(r, &r->if_none_match, value, value_len);
    } else if (IS("Last-Event-ID")) {
        if (value_len > 0 && value_len < 19 && strspn(value, "0123456789") == value_len)
            r->last_event_id = value;
    } else if (IS("Range")) {
        only_one(r, &r->range, value);
    } else if (IS("If-Range")) {
        only_one(r, &r->if_range, value);
    } else if (IS("User-Agent")) {
        r->user_agent = value;
    } else if (IS("X-Request-Id")) {
        if (valid_request_id(value, value_len)) {
            memcpy(r->id, value, value_len);
            r->id[value_len] = '\0';
        }
    } else if (IS("X-Twilio-Signature")) {
        only_one(r, &r->signature, value);
    } else if (IS("Content-Length")) {
        read_length(r, value, value_len);
    } else if (IS("Transfer-Encoding")) {
        if (r->chunked || strcasecmp(value, "chunked") != 0)
            r->malformed = true;
        r->chunked = true;
    } else if (IS("Access-Control-Request-Method")) {
        r->preflight = true;
    } else if (IS("traceparent")) {
        if (valid_traceparent(value, value_len))
            r->traceparent = value;
    } else if (IS("Cookie")) {
        r->cookie = value;
    } else if (IS("X-ClinicQ-Request")) {
        r->asks_itself = strcmp(value, "1") == 0;
    } else if (r->client->trusted && IS("X-Forwarded-For")) {
        add_to_list(r, &r->forwarded, value, value_len);
    }
#undef IS
    return MHD_YES;
}

static void make_request_id(char *id) {
    static unsigned char random[4096];
    static size_t used = sizeof(random);
    static const char digits[] = "0123456789abcdef";

    if (used + 16 > sizeof(random)) {
        for (size_t n = 0; n < sizeof(random);) {
            ssize_t got = getrandom(random + n, sizeof(random) - n, 0);

            if (got > 0)
                n += (size_t) got;
        }
        used = 0;
    }
    for (unsigned i = 0; i < 16; i++, used++) {
        id[2 * i] = digits[random[used] >> 4];
        id[2 * i + 1] = digits[random[used] & 15];
    }
    id[32] = '\0';
}

void headers_read(struct request *r) {
    MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, read_header, r);
    /* RFC 9112, 6.3: two lengths for one message let it be read in two ways */
    if (r->chunked && r->has_length)
        r->malformed = true;
    if (r->id[0] == '\0')
        make_request_id(r->id);
    r->from = r->client->peer;
    r->address = r->client->address;
    if (r->forwarded != NULL) {
        char *text = arena_alloc(&r->arena, INET6_ADDRSTRLEN);

        proxy_client(&r->from, r->forwarded);
        r->address = address_text(&r->from, text);
    }
}

const char *headers_token(const char *authorization) {
    size_t len;

    if (authorization == NULL)
        return NULL;
    if (strncasecmp(authorization, "Token ", 6) == 0)
        authorization += 6;
    else if (strncasecmp(authorization, "Bearer ", 7) == 0)
        authorization += 7;
    else
        return NULL;
    len = strlen(authorization);
    if (len == 0 || len > TOKEN_MAX)
        return NULL;
    for (size_t i = 0; i < len; i++)
        if (authorization[i] <= ' ' || authorization[i] > '~')
            return NULL;
    return authorization;
}
