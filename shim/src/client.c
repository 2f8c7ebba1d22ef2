#include "client.h"

#include "clock.h"
#include "config.h"
#include "memory.h"
#include "proxy.h"

#include <stdlib.h>

#define IDLE_LIMIT    MS(60000)
#define SEND_LIMIT    MS(60000)
#define DRAIN_LIMIT   MS(1000)
#define REFUSED_LIMIT MS(500)

#define TIMED_PHASES CLIENT_WAITING

/* One list a phase. Within it the limit is the same for all, so the oldest stands first. */
static struct {
    struct list lists[CLIENT_WAITING + 1];
    int64_t limits[TIMED_PHASES];
    unsigned count;
    uint64_t accepted;
    bool draining;
} clients;

void clients_open(const struct config *c) {
    for (unsigned i = 0; i <= CLIENT_WAITING; i++)
        list_init(&clients.lists[i]);
    clients.limits[CLIENT_FRESH] = MS(c->receive_timeout_ms);
    clients.limits[CLIENT_RECEIVING] = MS(c->receive_timeout_ms);
    clients.limits[CLIENT_SENDING] = SEND_LIMIT;
    clients.limits[CLIENT_IDLE] = IDLE_LIMIT;
    clients.limits[CLIENT_REFUSED] = REFUSED_LIMIT;
}

static void set_phase(struct client *client, enum client_phase phase) {
    client->phase = phase;
    if (phase < TIMED_PHASES)
        client->until = clock_us() + clients.limits[phase];
    list_append(&clients.lists[phase], &client->node);
}

struct client *client_new(int fd, const struct sockaddr *address) {
    struct client *client = memory_zero(1, sizeof(*client));

    client->fd = fd;
    address_of(&client->peer, address);
    address_text(&client->peer, client->address);
    client->trusted = proxy_trusted(&client->peer);
    clients.count++;
    clients.accepted++;
    set_phase(client, CLIENT_FRESH);
    return client;
}

void client_free(struct client *client) {
    if (client == NULL)
        return;
    list_remove(&client->node);
    clients.count--;
    free(client);
}

/* The library sees the end of the connection and closes it in its own time. */
static void shut(struct client *client) {
    shutdown(client->fd, SHUT_RDWR);
    list_remove(&client->node);
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
    list_remove(&client->node);
    set_phase(client, phase);
    if (phase == CLIENT_IDLE && clients.draining)
        drain(client);
}

void client_refuse(struct client *client) {
    shutdown(client->fd, SHUT_RD);
    client_phase(client, CLIENT_REFUSED);
}

unsigned client_count(void) {
    return clients.count;
}

uint64_t client_accepted(void) {
    return clients.accepted;
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
