#ifndef CLINICQ_UTF8_H
#define CLINICQ_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the character at the start of text, 0 if there is none that RFC 3629 allows. */
size_t utf8_step(const char *text, size_t len);

/* True for text that a PostgreSQL text value can hold: valid UTF-8 without NUL. */
bool utf8_text(const char *text, size_t len);

#endif
