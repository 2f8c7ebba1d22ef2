/* Replies: every one leaves through here. */
#ifndef CLINICQ_REPLY_H
#define CLINICQ_REPLY_H

#include "request.h"

struct config;

void reply_open(const struct config *c);

enum MHD_Result reply_edge(struct request *r, enum edge e);
/* The answer of the database, or what became of the call. */
enum MHD_Result reply_call(struct request *r);
/* Empty replies: 200 to a CORS preflight, 204 with Allow to another OPTIONS. */
enum MHD_Result reply_preflight(struct request *r);
enum MHD_Result reply_options(struct request *r);

#endif
