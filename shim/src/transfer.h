/* One exchange with a far side, by libcurl on the event loop: a request and its whole answer, which
 * is bounded. Redirects are not followed; plain HTTP is for this machine only. */
#ifndef CLINICQ_TRANSFER_H
#define CLINICQ_TRANSFER_H

#include "memory.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct transfer;

/* What a source of bytes returns besides their number. */
#define TRANSFER_WAIT  CURL_READFUNC_PAUSE /* none are there yet: transfer_resume() */
#define TRANSFER_BREAK CURL_READFUNC_ABORT /* none will come */

void transfers_open(const struct config *c);
void transfers_tick(int64_t now);
int64_t transfers_next(void);
void transfers_close(void);

/* Owned by the caller. method: NULL where libcurl knows it by itself (SMTP). */
struct transfer *transfer_new(const char *method, const char *url);
/* Also in done(). What is under way is cut off. */
void transfer_free(struct transfer *t);

/* For options of one channel only. */
CURL *transfer_easy(struct transfer *t);
void transfer_header(struct transfer *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* To be signed by libcurl, Signature Version 4; scheme as for CURLOPT_AWS_SIGV4. */
void transfer_sign(struct transfer *t, const char *scheme, const char *user, const char *password);
/* A body; it is copied. */
void transfer_body(struct transfer *t, const char *data, size_t len);
/* A body of so many bytes that read() gives, up to room at a time. */
void transfer_source(struct transfer *t, uint64_t length,
                     size_t (*read)(void *arg, char *out, size_t room), void *arg);
void transfer_resume(struct transfer *t);

/* seconds: for all of it. done() is called once, from the loop. */
void transfer_start(struct transfer *t, unsigned seconds,
                    void (*done)(struct transfer *t, void *arg), void *arg);

/* Makes the connection only, with what its scheme has in front (SMTP: greeting, STARTTLS, log-in).
 * From done() on it is the caller's, by curl_easy_send() and curl_easy_recv(), until
 * transfer_free(). */
void transfer_connect(struct transfer *t, unsigned seconds,
                      void (*done)(struct transfer *t, void *arg), void *arg);

/* In done() and after it. NULL: a whole answer came; else why not, in words of ours. */
const char *transfer_fault(const struct transfer *t);
/* Whether it failed because TLS did not come about. */
bool transfer_insecure(const struct transfer *t);
unsigned transfer_status(const struct transfer *t); /* HTTP or SMTP; 0: none came */
const struct buffer *transfer_reply(const struct transfer *t);
/* The answer as a JSON object, to be put; NULL where it is none. */
struct json_object *transfer_json(const struct transfer *t);
/* A header of the answer; NULL where there is none. */
const char *transfer_reply_header(const struct transfer *t, const char *name);
/* Seconds of Retry-After, 0 without. */
unsigned transfer_retry_after(const struct transfer *t);

#endif
