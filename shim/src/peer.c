#include "peer.h"

#include "limit.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096

/* As many entries as there are addresses with an open connection. */
static struct peer *buckets[BUCKETS];

/* IPv6 is counted by /64, which one subscriber has. */
static size_t significant(const struct address *a) {
    return address_v4(a) ? sizeof(a->ip) : 8;
}

static struct peer **place(const struct address *a) {
    struct peer **at = &buckets[limit_address_key(a) % BUCKETS];

    while (*at != NULL && (significant(&(*at)->address) != significant(a) ||
                           memcmp(&(*at)->address, a, significant(a)) != 0))
        at = &(*at)->next;
    return at;
}

struct peer *peer_join(const struct address *a) {
    struct peer **at = place(a);

    if (*at == NULL) {
        *at = memory_zero(1, sizeof(**at));
        (*at)->address = *a;
    }
    (*at)->connections++;
    return *at;
}

void peer_leave(struct peer *p) {
    struct peer **at;

    if (--p->connections > 0)
        return;
    at = place(&p->address);
    *at = p->next;
    free(p);
}
