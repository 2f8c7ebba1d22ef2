/* Base64 (RFC 4648, 4), in which bytes travel to and from the database. */
#ifndef CLINICQ_BASE64_H
#define CLINICQ_BASE64_H

#include "memory.h"

void base64_encode(struct buffer *out, const char *data, size_t len);
/* Decodes in place, without blanks; false where it is no base64. */
bool base64_decode(char *text, size_t *len);

#endif
