/* Client connections and their time limits, which are absolute: the library's own start again with
 * each byte. */
#ifndef CLINICQ_CLIENT_H
#define CLINICQ_CLIENT_H

#include "address.h"
#include "list.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum client_phase {
    CLIENT_FRESH,     /* accepted, no request line yet */
    CLIENT_RECEIVING, /* headers on their way */
    CLIENT_BODY,      /* a body is */
    CLIENT_SENDING,   /* the reply is on its way */
    CLIENT_IDLE,      /* between two requests */
    CLIENT_REFUSED,   /* no more is read of it */
    CLIENT_UPLOAD,    /* a file is on its way, with time for all of it */
    CLIENT_RESERVE,   /* one too many: it gets a moment and 503 */
    CLIENT_WAITING,   /* for the database, which has a limit of its own */
};

struct request;

struct client {
    struct list node;
    struct request *request; /* owned; NULL between requests */
    enum client_phase phase;
    int64_t until;
    int fd;
    bool too_many; /* it stays in CLIENT_RESERVE */
    bool shut;
    bool streams;      /* counted apart */
    struct peer *same; /* the connections of its address */
    bool trusted;      /* a proxy whose X-Forwarded-For counts */
    struct address peer;
    char address[INET6_ADDRSTRLEN];
};

/* Connections past CLINICQ_MAX_CONNECTIONS that are still accepted, to answer 503. */
#define CLIENT_RESERVE_SIZE 64

struct config;

void clients_open(const struct config *c);
struct client *client_new(int fd, const struct sockaddr *address);
void client_free(struct client *client);
void client_phase(struct client *client, enum client_phase phase);
/* Reads no more of it, and gives it a moment to take a reply. */
void client_refuse(struct client *client);
/* It is a stream of events from now on, which has a limit of its own. */
void client_stream(struct client *client);
/* Ends it at once. */
void client_cut(struct client *client);
unsigned client_count(void);
uint64_t client_accepted(void);
/* Connections that came beyond a limit, and idle ones that were closed for others. */
uint64_t client_refused(void);
uint64_t client_evicted(void);
/* Shuts connections that have outlived their phase. */
void client_tick(int64_t now);
int64_t client_next(void);
/* Draining: idle connections are shut now, and from now on as soon as they are idle. */
void client_drain(void);

#endif
