/* A message of e-mail as RFC 5322 and MIME (RFC 2045 to 2047) have it, in ASCII whatever it says.
 */
#ifndef CLINICQ_MAIL_H
#define CLINICQ_MAIL_H

#include "memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define MAIL_RECIPIENTS 50

struct mail {
    const char *from; /* an address */
    const char *to[MAIL_RECIPIENTS];
    size_t to_count;
    const char *subject;
    const char *body; /* plain text; its lines end by LF, CR or both */
    const char *id;   /* of Message-ID, in front of the domain of from */
    time_t at;
};

/* An address in ASCII without a quoted local part (RFC 5321, 4.1.2): nothing in it ends a line or a
 * command. */
bool mail_address(const char *text);
/* What stands behind the @ of an address. */
const char *mail_domain(const char *address);

/* Adds the message, with CRLF at each end of a line. NULL, or why it cannot be one: then nothing is
 * added. The text quotes nothing of it. */
const char *mail_write(struct buffer *out, const struct mail *m);

#endif
