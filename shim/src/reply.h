/* Replies: every one leaves through here. */
#ifndef CLINICQ_REPLY_H
#define CLINICQ_REPLY_H

#include "request.h"
#include "stream.h"

struct config;

void reply_open(const struct config *c);

enum MHD_Result reply_edge(struct request *r, enum edge e);
/* The answer of the database, or what became of the call. */
enum MHD_Result reply_call(struct request *r);
/* What a row of the call holds; false where it cannot go on with a reply of 200. The row keeps the
 * text. */
bool reply_page(const PGresult *row, struct page *page);
/* Empty replies: 200 to a CORS preflight, 204 with Allow to another OPTIONS. */
enum MHD_Result reply_preflight(struct request *r);
enum MHD_Result reply_options(struct request *r);

#endif
