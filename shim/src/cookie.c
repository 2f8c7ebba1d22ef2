#include "cookie.h"

#include "config.h"
#include "cors.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TOKEN_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define TOKEN_MAX   128

static struct {
    const char *name;
    const char *scheme;
    const char *attributes;
} cookie;

void cookie_open(const struct config *c) {
    /* a name with __Host- cannot be set by another host of the domain, nor without TLS */
    cookie.name = c->secure ? "__Host-clinicq" : "clinicq";
    cookie.scheme = c->secure ? "https://" : "http://";
    cookie.attributes = c->secure ? "; Path=/; HttpOnly; SameSite=Strict; Secure"
                                  : "; Path=/; HttpOnly; SameSite=Strict";
}

const char *cookie_read(struct request *r, const char *header) {
    size_t name_len = strlen(cookie.name);

    for (const char *p = header + strspn(header, "; \t"); *p != '\0'; p += strspn(p, "; \t")) {
        size_t len = strcspn(p, ";");

        if (len > name_len && strncmp(p, cookie.name, name_len) == 0 && p[name_len] == '=') {
            size_t value = strspn(p + name_len + 1, TOKEN_CHARS);

            if (value == 0 || value > TOKEN_MAX || name_len + 1 + value != len)
                return NULL;
            return arena_text(&r->arena, p + name_len + 1, value);
        }
        p += len;
    }
    return NULL;
}

bool cookie_from_us(const struct request *r) {
    size_t scheme = strlen(cookie.scheme);

    if (r->origin == NULL)
        return false;
    if (cors_allows(r->origin))
        return true;
    return r->host != NULL && strncmp(r->origin, cookie.scheme, scheme) == 0 &&
           strcasecmp(r->origin + scheme, r->host) == 0;
}

bool cookie_write(const char *session, char *out, size_t size) {
    size_t len = strspn(session, TOKEN_CHARS);
    const char *seconds = session + len + 1;
    int wrote;

    if (session[0] == '\0')
        wrote = snprintf(out, size, "%s=%s; Max-Age=0", cookie.name, cookie.attributes);
    else if (len > 0 && session[len] == ' ' && seconds[0] != '\0' &&
             strspn(seconds, "0123456789") == strlen(seconds))
        wrote = snprintf(out, size, "%s=%.*s%s; Max-Age=%s", cookie.name, (int) len, session,
                         cookie.attributes, seconds);
    else
        return false;
    return wrote > 0 && (size_t) wrote < size;
}
