/* IP addresses and networks; IPv4 is kept mapped into IPv6. */
#ifndef CLINICQ_ADDRESS_H
#define CLINICQ_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct address {
    struct in6_addr ip; /* all zero: unknown */
};

struct network {
    struct address base;
    unsigned bits;
};

bool address_v4(const struct address *a);
void address_of(struct address *a, const struct sockaddr *from);
/* Reads an address with or without a port (1.2.3.4:80, [::1]:80). */
bool address_parse(struct address *a, const char *text, size_t len);
const char *address_text(const struct address *a, char out[INET6_ADDRSTRLEN]);
/* An address or CIDR block. */
bool network_parse(struct network *n, const char *text, size_t len);
bool network_holds(const struct network *n, const struct address *a);

#endif
