/* The two kinds of lines of an export; ../AUDIT-FORMAT.md. */
#ifndef CLINICQ_AUDIT_LINES_H
#define CLINICQ_AUDIT_LINES_H

#include "../src/merkle.h"

#include <sodium.h>

#define KEY_HEX (2 * crypto_sign_PUBLICKEYBYTES)
#define INSTANT 27 /* "2026-11-21T03:05:31.402281Z": in the order of time, as text */

struct seal {
    uint64_t number, size, previous_size;
    MerkleHash root, previous, hash;
    int64_t at; /* seconds */
    char instant[INSTANT + 1];
    bool is_signed;
    unsigned char key[crypto_sign_PUBLICKEYBYTES];
    unsigned char signature[crypto_sign_BYTES];
    const char *text; /* what is hashed and signed, within the line */
    size_t text_length;
};

struct event {
    uint64_t position;
    MerkleHash leaf;
    const char *text; /* what is hashed, within the line; NULL: the event was gone */
    size_t text_length;
    const char *personal; /* what can be erased, beside what is hashed; NULL: nothing */
    size_t personal_length;
};

/* Each takes a line without its end, which is terminated by NUL. False where it is none. */
bool seal_parse(struct seal *seal, const char *line, size_t length);
bool event_parse(struct event *event, const char *line, size_t length);
/* Its number, and its time in seconds, INT64_MIN where it has none of the years 0 to 9999. */
bool event_made(const struct event *event, uint64_t *id, int64_t *at);
/*
 * Whether the event tells that retention took events away, and which positions. limit: what went
 * has to be of before this time.
 */
bool removal_parse(const struct event *event, const char *limit, uint64_t *first, uint64_t *last);
/* The same moment seven years earlier; "" for "". */
void seven_years_before(char limit[INSTANT + 1], const char *at);
/* Whether the personal values of an event are those that it holds hashes of. */
bool personal_fits(const struct event *event);
/* The line before the first event of an export that begins later. */
bool peaks_parse(MerkleTree *tree, const char *line);

bool hex_parse(unsigned char *bytes, size_t count, const char *hex);

#endif
