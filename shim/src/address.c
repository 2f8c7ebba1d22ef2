#include "address.h"

#include <arpa/inet.h>
#include <string.h>

#define V4_PREFIX 96

static const unsigned char v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_v4(const struct address *a) {
    return memcmp(&a->ip, v4_mapped, sizeof(v4_mapped)) == 0;
}

static void set_v4(struct address *a, const void *raw) {
    memcpy(&a->ip, v4_mapped, sizeof(v4_mapped));
    memcpy((char *) &a->ip + sizeof(v4_mapped), raw, 4);
}

void address_of(struct address *a, const struct sockaddr *from) {
    *a = (struct address){0};
    if (from != NULL && from->sa_family == AF_INET)
        set_v4(a, &((const struct sockaddr_in *) (const void *) from)->sin_addr);
    else if (from != NULL && from->sa_family == AF_INET6)
        a->ip = ((const struct sockaddr_in6 *) (const void *) from)->sin6_addr;
}

static bool parse_plain(struct address *a, const char *text, size_t len) {
    char copy[INET6_ADDRSTRLEN];
    struct in_addr v4;

    if (len == 0 || len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1) {
        set_v4(a, &v4);
        return true;
    }
    return inet_pton(AF_INET6, copy, &a->ip) == 1;
}

static bool is_port(const char *text, const char *end) {
    if (text == end)
        return true;
    if (*text++ != ':' || text == end || end - text > 5)
        return false;
    for (; text < end; text++)
        if (*text < '0' || *text > '9')
            return false;
    return true;
}

bool address_parse(struct address *a, const char *text, size_t len) {
    const char *end = text + len;
    const char *host_end = end;

    if (len > 0 && text[0] == '[') {
        host_end = memchr(text, ']', len);
        return host_end != NULL && is_port(host_end + 1, end) &&
               parse_plain(a, text + 1, (size_t) (host_end - text - 1));
    }
    if (memchr(text, '.', len) != NULL) {
        const char *colon = memchr(text, ':', len);

        /* one colon stands before a port, more are of IPv6 */
        if (colon != NULL && colon == memrchr(text, ':', len))
            host_end = colon;
    }
    return is_port(host_end, end) && parse_plain(a, text, (size_t) (host_end - text));
}

const char *address_text(const struct address *a, char out[INET6_ADDRSTRLEN]) {
    if (address_v4(a))
        return inet_ntop(AF_INET, (const char *) &a->ip + sizeof(v4_mapped), out, INET6_ADDRSTRLEN);
    return inet_ntop(AF_INET6, &a->ip, out, INET6_ADDRSTRLEN);
}

bool network_parse(struct network *n, const char *text, size_t len) {
    const char *slash = memchr(text, '/', len);
    size_t host = slash != NULL ? (size_t) (slash - text) : len;
    unsigned most, bits = 0;

    if (!parse_plain(&n->base, text, host))
        return false;
    most = address_v4(&n->base) ? 32 : 128;
    n->bits = 128;
    if (slash == NULL)
        return true;
    if (len - host < 2 || len - host > 4)
        return false;
    for (size_t i = host + 1; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        bits = bits * 10 + (unsigned) (text[i] - '0');
    }
    n->bits = bits + (most == 32 ? V4_PREFIX : 0);
    return bits <= most;
}

bool network_holds(const struct network *n, const struct address *a) {
    const unsigned char *x = n->base.ip.s6_addr;
    const unsigned char *y = a->ip.s6_addr;
    unsigned bytes = n->bits / 8;
    unsigned mask = (0xff00U >> (n->bits % 8)) & 0xff;

    return memcmp(x, y, bytes) == 0 && (mask == 0 || ((x[bytes] ^ y[bytes]) & mask) == 0);
}
