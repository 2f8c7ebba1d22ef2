/* How many connections each address holds. */
#ifndef CLINICQ_PEER_H
#define CLINICQ_PEER_H

#include "address.h"

struct peer {
    struct peer *next;
    struct address address;
    unsigned connections;
};

/* Counts one connection more of the address. */
struct peer *peer_join(const struct address *a);
void peer_leave(struct peer *p);

#endif
