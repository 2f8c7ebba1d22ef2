/* One message handed to a mail server (RFC 5321), on the event loop. libcurl connects, upgrades to
 * TLS and logs in. The mail is spoken here: libcurl would hold up the loop until the server has
 * answered the message, and again at QUIT. */
#ifndef CLINICQ_SMTP_H
#define CLINICQ_SMTP_H

#include "memory.h"

#include <stdbool.h>
#include <stddef.h>

struct smtp;

/* What was said last, or is to be answered. */
enum smtp_step {
    SMTP_CONNECT,
    SMTP_HELLO,
    SMTP_STARTTLS,
    SMTP_HELLO_TLS,
    SMTP_LOGIN,
    SMTP_SENDER,
    SMTP_RECIPIENT,
    SMTP_DATA,
    SMTP_MESSAGE,
};

struct smtp_order {
    const char *url;      /* smtp:// or smtps://; its path is the name that we greet by */
    bool starttls;        /* smtp:// has to be upgraded to TLS */
    const char *user;     /* "": nobody logs in */
    const char *password; /* of user */
    const char *from;     /* addresses as mail_address() has them */
    const char *const *to;
    size_t to_count;
    struct buffer *message; /* taken over; by mail_write() */
};

/* Owned by the caller. done() is called once, from the loop, within so many seconds. */
struct smtp *smtp_new(const struct smtp_order *order, unsigned seconds,
                      void (*done)(struct smtp *s, void *arg), void *arg);
/* Also in done(). What is under way is cut off. */
void smtp_free(struct smtp *s);

/* In done(). NULL: the server has taken the message; else why it has not, in words of ours. */
const char *smtp_fault(const struct smtp *s);
enum smtp_step smtp_step(const struct smtp *s);
/* The code of the reply to that; 0: none came. */
unsigned smtp_reply(const struct smtp *s);
/* TLS did not come about. */
bool smtp_insecure(const struct smtp *s);
/* All of the message was sent, so the server may have it. */
bool smtp_said_all(const struct smtp *s);

#endif
