/* A file in a form, on its way into the database: piece by piece, each by a short call of its own,
 * so that a slow line holds no connection, and of a large file no more than a piece is in memory.
 */
#ifndef CLINICQ_UPLOAD_H
#define CLINICQ_UPLOAD_H

#include "request.h"

struct config;

void upload_open(const struct config *c);

/* At header time: asks the database whether it takes a file of this user. */
enum MHD_Result upload_begin(struct request *r);
/* It does: the body comes now. */
enum MHD_Result upload_admitted(struct request *r);
/* Bytes of the body. */
enum MHD_Result upload_body(struct request *r, const char *data, size_t len);
/* The body has come to its end. */
enum MHD_Result upload_end(struct request *r);
/* A call of the upload has ended; false where its result is what is to be answered. */
bool upload_continue(struct request *r);
/* What is to be answered is known. True where the database is told first that it gets no more. */
bool upload_give_up(struct request *r);
/* It is told, or was. */
bool upload_is_dropped(const struct request *r);
/* Nothing of the body has been read yet. */
bool upload_is_at_headers(const struct request *r);
void upload_free(struct request *r);

unsigned upload_count(void);

#endif
