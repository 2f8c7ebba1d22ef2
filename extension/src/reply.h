/*
 * reply.h: what a routed function returns, a clinicq_api.reply.
 */
#ifndef CQ_REPLY_H
#define CQ_REPLY_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"

/* body and headers are JSON text, or NULL for none. */
extern Datum reply(int status, StringInfo body, StringInfo headers);

/* The Oid of clinicq_api.reply. */
extern Oid reply_type(void);

/* A clinicq_api.reply taken apart; body and headers are json datums. */
extern void reply_read(Datum value, Datum columns[3], bool nulls[3]);

/* headers, NULL for none, as JSON text. Whether one is named there, and the same with one more. */
extern bool headers_name(const char *headers, const char *name);
extern Datum headers_with(const char *headers, const char *name, const char *value);

#endif
