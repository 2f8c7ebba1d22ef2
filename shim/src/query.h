/* Percent-decoding, query strings and urlencoded forms. */
#ifndef CLINICQ_QUERY_H
#define CLINICQ_QUERY_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct json_object;

/* Decodes into out (room for len bytes) and returns the length. A '%' that two hexadecimal digits
 * do not follow stays as it is. */
size_t percent_decode(char *out, const char *in, size_t len, bool plus_is_blank);

/* Adds text, all of it encoded but what is unreserved (RFC 3986, 2.3): good in queries and forms.
 */
void percent_encode(struct buffer *out, const char *text);

enum query_fault { QUERY_OK, QUERY_ENCODING, QUERY_TOO_MANY };

/* Adds each name=value pair to object as a string: an empty name is ignored, the last of equal ones
 * wins. QUERY_ENCODING: a name or value is not UTF-8 or holds NUL. */
enum query_fault query_parse(struct json_object *object, const char *text, size_t len);

#endif
