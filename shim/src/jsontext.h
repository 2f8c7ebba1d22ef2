/* JSON strings as the text that they stand for. */
#ifndef CLINICQ_JSONTEXT_H
#define CLINICQ_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Decodes a JSON string, quotes included, in its own place; *len is that of the text, which is not
 * longer. False where it is none (RFC 8259, 7); what stands there then is of no use. */
bool json_text_decode(char *text, size_t *len);

#endif
