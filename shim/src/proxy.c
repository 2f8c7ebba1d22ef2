#include "proxy.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>

static struct {
    struct network *networks;
    size_t count;
} trusted;

static const char *read_list(const char *list, bool keep) {
    struct network n;

    for (const char *p = list + strspn(list, ", "); *p != '\0'; p += strspn(p, ", ")) {
        size_t len = strcspn(p, ", ");

        if (!network_parse(&n, p, len))
            return p;
        if (keep) {
            trusted.networks =
                memory_grow(trusted.networks, (trusted.count + 1) * sizeof(*trusted.networks));
            trusted.networks[trusted.count++] = n;
        }
        p += len;
    }
    return NULL;
}

const char *proxy_fault(const char *list) {
    return read_list(list, false);
}

void proxy_open(const char *list) {
    read_list(list, true);
}

void proxy_close(void) {
    free(trusted.networks);
}

bool proxy_trusted(const struct address *a) {
    for (size_t i = 0; i < trusted.count; i++)
        if (network_holds(&trusted.networks[i], a))
            return true;
    return false;
}

void proxy_client(struct address *a, const char *forwarded) {
    const char *end = forwarded + strlen(forwarded);

    while (proxy_trusted(a)) {
        struct address before;
        const char *start;

        while (end > forwarded && strchr(" \t,", end[-1]) != NULL)
            end--;
        for (start = end; start > forwarded && strchr(" \t,", start[-1]) == NULL;)
            start--;
        /* what cannot be read ends the chain at the last proxy that is known */
        if (!address_parse(&before, start, (size_t) (end - start)))
            return;
        *a = before;
        end = start;
    }
}
