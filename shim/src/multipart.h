#ifndef CLINICQ_MULTIPART_H
#define CLINICQ_MULTIPART_H

#include "memory.h"

#include <stdbool.h>
#include <stddef.h>

struct json_object;

enum multipart_fault { MULTIPART_OK, MULTIPART_FORM, MULTIPART_ENCODING };

/* Adds the text parts of a multipart/form-data body (RFC 7578) to object; file parts are passed
 * over. content_type is the whole header with its boundary parameter. */
enum multipart_fault multipart_parse(struct json_object *object, const char *content_type,
                                     const char *body, size_t len);

#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */
#define MULTIPART_NAME_SIZE    256

struct part {
    char name[MULTIPART_NAME_SIZE];
    size_t name_len;
    bool named;
    bool file;
};

enum form_state { FORM_START, FORM_DELIMITED, FORM_HEADERS, FORM_BODY, FORM_END };

/* The same for a body that comes in pieces and has a file in it. */
struct form {
    struct json_object *object;     /* the texts so far; borrowed */
    char file[MULTIPART_NAME_SIZE]; /* the name of the first file's part */
    bool has_file;
    /* its own */
    enum form_state state;
    enum multipart_fault fault;
    char delimiter[4 + MULTIPART_BOUNDARY_MAX];
    size_t delimiter_len;
    struct part part; /* the one that is read */
    bool is_file;     /* ... and is handed on */
    size_t lead;      /* bytes before its contents */
    unsigned parts;
    struct buffer held; /* what cannot be understood without what follows */
    struct buffer text; /* of the part */
    size_t texts;       /* bytes of all texts */
};

/* False where content_type names no boundary. */
bool form_open(struct form *f, struct json_object *object, const char *content_type);
/* Adds the bytes of the first file to `file`; those of others are passed over. */
void form_feed(struct form *f, const char *data, size_t len, struct buffer *file);
/* What was wrong, or missing at the end. */
enum multipart_fault form_fault(const struct form *f);
void form_close(struct form *f);

#endif
