/* X-Forwarded-For, lists of networks and host names. The client is the rightmost address that is no
 * trusted proxy; what one address is, and whether it is trusted, inet_pton() and shifts judge here.
 */
#include "harness.h"

#include "host.h"
#include "proxy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* True for what the harness configures: 127.0.0.1, 10.0.0.0/9, 2001:db8::/33. */
static bool is_trusted(const char *address) {
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET6, address, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6))
        return memcmp(&v6, "\x20\x01\x0d\xb8", 4) == 0 && v6.s6_addr[4] < 0x80;
    if (inet_pton(AF_INET6, address, &v6) == 1)
        memcpy(&v4, v6.s6_addr + 12, sizeof(v4));
    else
        PROPERTY(inet_pton(AF_INET, address, &v4) == 1);
    return ntohl(v4.s_addr) == INADDR_LOOPBACK || ntohl(v4.s_addr) >> 23 == 10 << 1;
}

/* One entry as text without port and brackets; false if it is no address. */
static bool read_entry(char *entry) {
    unsigned char raw[16];
    char *port = strrchr(entry, ':');

    if (entry[0] == '[') {
        char *end = strchr(entry, ']');

        if (end == NULL)
            return false;
        port = end[1] != '\0' ? end + 1 : NULL;
        if (port != NULL && *port != ':')
            return false;
        *end = '\0';
        memmove(entry, entry + 1, strlen(entry));
    } else if (port != NULL && (strchr(entry, ':') != port || strchr(entry, '.') == NULL)) {
        port = NULL;
    }
    if (port != NULL) {
        size_t digits = strspn(port + 1, "0123456789");

        if (digits == 0 || digits > 5 || port[1 + digits] != '\0')
            return false;
        *port = '\0';
    }
    return inet_pton(AF_INET, entry, raw) == 1 || inet_pton(AF_INET6, entry, raw) == 1;
}

/* The client's address behind the proxies, as text that inet_pton() reads. */
static void judge_client(const char *forwarded, char client[INET6_ADDRSTRLEN]) {
    char *list = strdup(forwarded);
    char *entries[512];
    unsigned count = 0;

    snprintf(client, INET6_ADDRSTRLEN, "127.0.0.1");
    for (char *rest = list, *e; (e = strtok_r(rest, ", \t", &rest)) != NULL && count < 512;)
        entries[count++] = e;
    while (count > 0 && is_trusted(client)) {
        char *entry = entries[--count];

        if (!read_entry(entry) || strlen(entry) >= INET6_ADDRSTRLEN)
            break;
        snprintf(client, INET6_ADDRSTRLEN, "%s", entry);
    }
    free(list);
}

static void check_forwarded(const char *forwarded) {
    struct sockaddr_in peer = {.sin_family = AF_INET};
    char expected[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN];
    struct address client, judged;

    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address_of(&client, (struct sockaddr *) &peer);
    proxy_client(&client, forwarded);
    judge_client(forwarded, expected);
    PROPERTY(address_parse(&judged, expected, strlen(expected)));
    PROPERTY(memcmp(&client, &judged, sizeof(client)) == 0);
    PROPERTY(proxy_trusted(&client) == is_trusted(expected));
    PROPERTY(address_text(&client, text) == text);
    PROPERTY(address_parse(&judged, text, strlen(text)));
    PROPERTY(memcmp(&client, &judged, sizeof(client)) == 0);
}

static void check_network(const char *text, size_t len) {
    struct network n;
    struct address other;

    if (!network_parse(&n, text, len))
        return;
    PROPERTY(n.bits <= 128 && network_holds(&n, &n.base));
    for (unsigned bit = 0; bit < 128; bit++) {
        other = n.base;
        other.ip.s6_addr[bit / 8] ^= (unsigned char) (0x80 >> bit % 8);
        PROPERTY(network_holds(&n, &other) == (bit >= n.bits));
    }
}

static void check_host(const char *host) {
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]", "clinic.example"};
    bool expected = false;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);

        if (strncasecmp(host, names[i], len) != 0)
            continue;
        if (host[len] == ':')
            len += 1 + strspn(host + len + 1, "0123456789");
        expected = expected || host[len] == '\0';
    }
    PROPERTY(host_allowed(host) == expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {(const char *) data, size < 1000 ? size : 1000};
    size_t len;
    char *text = take_rest(&in, &len);

    check_forwarded(text);
    check_network(text, strlen(text));
    check_host(text);
    host_fault(text);
    proxy_fault(text);
    free(text);
    return 0;
}
