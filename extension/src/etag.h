/*
 * etag.h: entity tags (RFC 9110, section 8.8) and the headers that compare them.
 */
#ifndef CQ_ETAG_H
#define CQ_ETAG_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "query.h"

/*
 * The strong tag of a representation, with its quotes: a hash of its bytes. What a visit shows of
 * patient and queue, and how a name is masked, changes without a version of the visit's row.
 */
#define ETAG_SIZE 19
extern void etag_of(const char *body, size_t length, char tag[ETAG_SIZE]);

/*
 * Whether a list of tags, or *, names this one. weak: W/ in front makes no difference
 * (If-None-Match); else what has it names nothing (If-Match).
 */
extern bool etag_is_listed(const char *list, const char *tag, bool weak);

/*
 * The kinds of things whose present state If-Match can be compared with: the path of one, and what
 * locks its row and then appends it as GET shows it; false where there is none.
 */
typedef struct Entity {
    const char *path; /* "/api/visits/{id}/" */
    bool (*append_locked)(const char *key, StringInfo json);
    bool moves; /* writes below its path answer it as well */
} Entity;

/* The kind that a path template is about, NULL for none; whole: one of them, not the list. */
extern const Entity *entity_of(const char *path, bool *whole);

/* Whether a write to that path answers the thing itself, and not something about it. */
extern bool entity_is_answered(const Entity *entity, const char *path);

/* For append_locked, which runs with SPI connected: locks the row of an id; false where key is
 * none. */
extern bool entity_lock(KeptQuery *lock, const char *key, Datum *id);

/* Whether If-Match holds for the entity that the path values name; its row stays locked. True where
 * there is none, which the routed function will say. */
extern bool entity_matches(const Entity *entity, FunctionCallInfo routed, const char *if_match);

#endif
