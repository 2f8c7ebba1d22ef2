#include "host.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN 255
#define NAME_CHARS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

static struct {
    char *text; /* split at the commas */
    const char **names;
    size_t count;
} hosts;

/* The length of the name in front of the port; 0 where there is none. */
static size_t name_length(const char *host) {
    size_t len;

    if (host[0] == '[') {
        len = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
        return host[len] == ']' && len > 2 ? len + 1 : 0;
    }
    len = strspn(host, NAME_CHARS);
    return len <= NAME_MAX_LEN ? len : 0;
}

const char *host_fault(const char *names) {
    for (const char *p = names + strspn(names, ", "); *p != '\0'; p += strspn(p, ", ")) {
        size_t len = strcspn(p, ", ");

        if (name_length(p) != len)
            return p;
        p += len;
    }
    return NULL;
}

void host_open(const char *names) {
    char *rest = NULL;

    hosts.text = memory_text(names);
    for (char *n = strtok_r(hosts.text, ", ", &rest); n != NULL; n = strtok_r(NULL, ", ", &rest)) {
        hosts.names = memory_grow(hosts.names, (hosts.count + 1) * sizeof(*hosts.names));
        hosts.names[hosts.count++] = n;
    }
}

void host_close(void) {
    free(hosts.names);
    free(hosts.text);
}

bool host_allowed(const char *host) {
    size_t len = name_length(host);
    const char *port = host + len;

    if (len == 0 ||
        (*port == ':' ? strspn(port + 1, "0123456789") != strlen(port + 1) : *port != '\0'))
        return false;
    for (size_t i = 0; i < hosts.count; i++)
        if (strlen(hosts.names[i]) == len && strncasecmp(hosts.names[i], host, len) == 0)
            return true;
    return false;
}
