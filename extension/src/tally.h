/*
 * tally.h: events that are told once with a count: looks at records, and refusals.
 *
 * A tally is a row of clinicq.audit_tally until its time is over, and then one event. What is equal
 * but for times and request id is the same tally.
 */
#ifndef CQ_TALLY_H
#define CQ_TALLY_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct Tally {
    int64 actor_id; /* 0: none */
    const char *actor_name;
    uint32 roles;
    const char *door;
    const char *client;     /* "": none */
    const char *request_id; /* "": none */
    const char *action;
    const char *entity;
    const char *entity_id; /* "": none */
    const char *detail;    /* a JSON object, "" for none */
    const char *outcome;
    int64 count;
    TimestampTz first, last;
    TimestampTz until;
} Tally;

/* One by the present actor, now; the texts of the action are still to be filled in. */
extern Tally tally_begin(int minutes);

/*
 * Counts it in this transaction. Between SPI_connect and SPI_finish. 25006 where nothing can be
 * written: what cannot be recorded is not shown either.
 */
extern void tally_write(const Tally *tally);

/* What clinicq.close_tallies() does; how many events it wrote. Between SPI_connect and SPI_finish.
 */
extern uint64 tallies_close(void);

/*
 * Makes events of all searches that are counted, so that their terms stand nowhere but in
 * clinicq.audit_personal; until this transaction ends none is counted. Between SPI_connect and
 * SPI_finish.
 */
extern void tallies_close_searches(void);

#endif
