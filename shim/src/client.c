#include "client.h"

#include "clock.h"
#include "config.h"
#include "memory.h"
#include "peer.h"
#include "proxy.h"

#include <stdlib.h>

#define DRAIN_LIMIT   MS(1000)
#define REFUSED_LIMIT MS(500)
#define RESERVE_LIMIT MS(2000)

#define TIMED_PHASES CLIENT_WAITING

/* One list a phase. Within it the limit is the same for all, so the oldest stands first. */
static struct {
    struct list lists[CLIENT_WAITING + 1];
    int64_t limits[TIMED_PHASES];
    unsigned count;   /* all that the library still has */
    unsigned served;  /* neither shut nor in the reserve */
    unsigned reserve; /* in the reserve, not shut */
    unsigned limit, address_limit;
    uint64_t accepted, refused, evicted;
    bool draining;
} clients;

void clients_open(const struct config *c) {
    for (unsigned i = 0; i <= CLIENT_WAITING; i++)
        list_init(&clients.lists[i]);
    clients.limit = c->max_connections;
    clients.address_limit = c->address_connections;
    clients.limits[CLIENT_BODY] = MS(c->receive_timeout_ms);
    clients.limits[CLIENT_FRESH] = clients.limits[CLIENT_RECEIVING] =
        MS(c->header_timeout_ms < c->receive_timeout_ms ? c->header_timeout_ms
                                                        : c->receive_timeout_ms);
    clients.limits[CLIENT_SENDING] = MS(c->send_timeout_ms);
    clients.limits[CLIENT_IDLE] = MS(c->idle_timeout_ms);
    clients.limits[CLIENT_UPLOAD] = MS(c->upload_timeout_ms);
    clients.limits[CLIENT_REFUSED] = REFUSED_LIMIT;
    clients.limits[CLIENT_RESERVE] = RESERVE_LIMIT;
}

static void set_phase(struct client *client, enum client_phase phase) {
    client->phase = phase;
    if (phase < TIMED_PHASES)
        client->until = clock_us() + clients.limits[phase];
    list_append(&clients.lists[phase], &client->node);
}

/* It counts no more, though the library has not closed it yet. */
static void uncount(struct client *client) {
    if (client->shut)
        return;
    client->shut = true;
    if (client->streams)
        return;
    if (client->too_many)
        clients.reserve--;
    else
        clients.served--;
    peer_leave(client->same);
}

/* The library sees the end of the connection and closes it in its own time. */
static void shut(struct client *client) {
    shutdown(client->fd, SHUT_RDWR);
    list_remove(&client->node);
    uncount(client);
}

static struct client *oldest(enum client_phase phase) {
    struct list *list = &clients.lists[phase];

    return list_empty(list) ? NULL : list_item(list->next, struct client, node);
}

/* Makes room by closing the connection that has been idle for the longest time. */
static bool evict(void) {
    struct client *idle = oldest(CLIENT_IDLE);
    struct client *fresh = oldest(CLIENT_FRESH);

    if (idle == NULL && fresh == NULL)
        return false;
    if (idle == NULL || (fresh != NULL && fresh->until - clients.limits[CLIENT_FRESH] <
                                              idle->until - clients.limits[CLIENT_IDLE]))
        idle = fresh;
    clients.evicted++;
    shut(idle);
    return true;
}

static bool is_one_too_many(const struct client *client) {
    if (!client->trusted && clients.address_limit > 0 &&
        client->same->connections > clients.address_limit)
        return true;
    return clients.served >= clients.limit && !evict();
}

struct client *client_new(int fd, const struct sockaddr *address) {
    struct client *client = memory_zero(1, sizeof(*client));

    client->fd = fd;
    address_of(&client->peer, address);
    address_text(&client->peer, client->address);
    client->trusted = proxy_trusted(&client->peer);
    client->same = peer_join(&client->peer);
    clients.count++;
    clients.accepted++;
    client->too_many = is_one_too_many(client);
    if (!client->too_many) {
        clients.served++;
        set_phase(client, CLIENT_FRESH);
        return client;
    }
    clients.refused++;
    if (clients.reserve++ >= CLIENT_RESERVE_SIZE)
        shut(oldest(CLIENT_RESERVE));
    set_phase(client, CLIENT_RESERVE);
    return client;
}

void client_free(struct client *client) {
    if (client == NULL)
        return;
    list_remove(&client->node);
    uncount(client);
    clients.count--;
    free(client);
}

/* Draining: a connection that holds no request yet is shut, one that does has a moment to be read.
 */
static void drain(struct client *client) {
    char byte;

    if (recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        shut(client);
    else
        client->until = clock_us() + DRAIN_LIMIT;
}

void client_phase(struct client *client, enum client_phase phase) {
    if (client->too_many || client->shut)
        return;
    list_remove(&client->node);
    set_phase(client, phase);
    if (phase == CLIENT_IDLE && clients.draining)
        drain(client);
}

void client_refuse(struct client *client) {
    shutdown(client->fd, SHUT_RD);
    client_phase(client, CLIENT_REFUSED);
}

void client_stream(struct client *client) {
    if (client->shut || client->too_many || client->streams)
        return;
    client->streams = true;
    clients.served--;
    peer_leave(client->same);
}

void client_cut(struct client *client) {
    if (!client->shut)
        shut(client);
}

unsigned client_count(void) {
    return clients.count;
}

uint64_t client_accepted(void) {
    return clients.accepted;
}

uint64_t client_refused(void) {
    return clients.refused;
}

uint64_t client_evicted(void) {
    return clients.evicted;
}

void client_tick(int64_t now) {
    for (unsigned i = 0; i < TIMED_PHASES; i++) {
        while (!list_empty(&clients.lists[i])) {
            struct client *client = list_item(clients.lists[i].next, struct client, node);

            if (client->until > now)
                break;
            shut(client);
        }
    }
}

int64_t client_next(void) {
    int64_t next = CLOCK_NEVER;

    for (unsigned i = 0; i < TIMED_PHASES; i++) {
        if (!list_empty(&clients.lists[i])) {
            int64_t until = list_item(clients.lists[i].next, struct client, node)->until;

            if (until < next)
                next = until;
        }
    }
    return next;
}

/* A connection whose client has gone: nothing will complete what it has sent. */
static bool is_gone(const struct client *client) {
    char byte;

    return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void client_drain(void) {
    int64_t soon = clock_us() + DRAIN_LIMIT;
    struct list *next;

    clients.draining = true;
    for (unsigned i = 0; i < TIMED_PHASES; i++) {
        for (struct list *n = clients.lists[i].next; n != &clients.lists[i]; n = next) {
            struct client *client = list_item(n, struct client, node);

            next = n->next;
            if (i == CLIENT_IDLE)
                drain(client);
            else if (i != CLIENT_SENDING && is_gone(client))
                shut(client);
            else if (i == CLIENT_FRESH && client->until > soon)
                client->until = soon;
        }
    }
}
