/*
 * idempotency.h: writes with an Idempotency-Key are done once (draft-ietf-httpapi-idempotency-key-
 * header). Key, fingerprint of the request and reply are stored in the transaction that does the
 * work, under the user, so that all of it is there or nothing.
 */
#ifndef CQ_IDEMPOTENCY_H
#define CQ_IDEMPOTENCY_H

#include "postgres.h"

#include "fmgr.h"

typedef struct KeyedRequest {
    char *key;         /* from idempotency_key() */
    const char *route; /* "POST /api/visits/" */
    bool secret;       /* neither its reply nor a hash of its body may be stored */
    FunctionCallInfo routed;
} KeyedRequest;

/* The key in a header: a string of RFC 8941, or the bare text. QC400 naming the header. */
extern char *idempotency_key(const char *header);

/*
 * True where the request was done before: fills in its reply (status, body, headers). Else the key
 * is locked until the transaction ends. QC425: it is being done; QC208: it was done, and its reply
 * is not kept; QC422: the key was used for another request.
 */
extern bool idempotency_find(const KeyedRequest *request, Datum reply[3], bool nulls[3]);

/* Stores the reply; one that is a refusal is not, so that a repeat is tried again. */
extern void idempotency_keep(const KeyedRequest *request, const Datum reply[3],
                             const bool nulls[3]);

/* The following run between SPI_connect and SPI_finish. */

/* Drops the stored replies that show a patient; that the requests were done is still known. */
extern void idempotency_forget_patient(int64 patient_id);

/* Removes up to so many keys that are past their time; how many it were. */
extern uint64 idempotency_purge(int32 limit);

#endif
