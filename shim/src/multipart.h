#ifndef CLINICQ_MULTIPART_H
#define CLINICQ_MULTIPART_H

#include <stddef.h>

struct json_object;

enum multipart_fault { MULTIPART_OK, MULTIPART_FORM, MULTIPART_ENCODING };

/* Adds the text parts of a multipart/form-data body (RFC 7578) to object; file parts are passed
 * over. content_type is the whole header with its boundary parameter. */
enum multipart_fault multipart_parse(struct json_object *object, const char *content_type,
                                     const char *body, size_t len);

#endif
