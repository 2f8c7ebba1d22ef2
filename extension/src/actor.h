/*
 * actor.h: who asks, and what roles are in force.
 *
 * Over HTTP the dispatcher sets the actor from a session token; it lives in backend memory until
 * the transaction ends and nothing that SQL can reach writes it. In psql the actor is
 * session_user with the rights of the current outer role.
 */
#ifndef CQ_ACTOR_H
#define CQ_ACTOR_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* Bits of a set of roles, in the order of role_names[] in actor.c. */
#define ROLE_ADMIN     0x01
#define ROLE_DOCTOR    0x02
#define ROLE_ASSISTANT 0x04
#define ROLE_DISPLAY   0x08
#define ROLE_AUDITOR   0x10
#define ROLE_REPORTER  0x20
#define ROLE_COUNT     6

#define ROLES_CARE  (ROLE_ADMIN | ROLE_DOCTOR | ROLE_ASSISTANT)
#define ROLES_BOARD (ROLES_CARE | ROLE_DISPLAY)
#define ROLES_ALL   0x3f

typedef struct Actor {
    bool http;
    const char *door; /* http, psql or worker */
    int64 user_id;    /* clinicq.app_user.id; 0 in psql and before log-in */
    char name[151];   /* user name (ASCII), or database role */
    uint32 roles;     /* only over HTTP; use actor_roles() */
    char client[52];  /* address, "" if unknown */
    char request_id[65];
    const char *due; /* what has to be done before anything else; NULL: nothing */
} Actor;

extern void actor_init(void);

/* From here on this process is no psql session but a worker of that name. */
extern void actor_begin_worker(const char *name);

/* The actor of this transaction; never NULL. Valid until the transaction ends. */
extern const Actor *actor_current(void);

/*
 * Begins an HTTP request: from here to the end of the transaction the actor is whom
 * actor_authenticate() finds. 55000 if one was begun already in this transaction.
 */
extern void actor_begin_http(const char *request_id, const char *client);
extern void actor_set_user(int64 user_id, const char *name, uint32 roles);
/* due: a text that lives on. Until it is done only routes for any valid token may be called. */
extern void actor_set_due(const char *due);

/* Roles in force, as bits. */
extern uint32 actor_roles(void);

/*
 * Raises 55000 before migrate(), 42501 naming the roles that would do. In front of everything.
 * function: the C function, for the audit log.
 */
#define actor_require(roles) actor_require_for(roles, __func__)
extern void actor_require_for(uint32 roles, const char *function);

/* The last function that actor_require() stood in front of. */
extern const char *actor_function(void);

/* The bit of a role by its name, 0 for none. */
extern uint32 role_bit(const char *name);
/* A text[] of role names; roles_read() is false where one is unknown or null. */
extern bool roles_read(Datum array, uint32 *roles);
extern uint32 roles_from_array(Datum array); /* of our own table, so all are known */
extern Datum roles_to_array(uint32 roles);
extern void roles_append_json(StringInfo json, uint32 roles);

#endif
