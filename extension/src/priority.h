/*
 * priority.h: priority classes, and the order in which visits are called. What runs SQL here does
 * so between SPI_connect and SPI_finish.
 */
#ifndef CQ_PRIORITY_H
#define CQ_PRIORITY_H

#include "postgres.h"

/* Name of the class of a rank, NULL where there is none any more. Lives until SQL runs. */
extern const char *priority_name(int64 clinic_id, int16 rank);

/*
 * Rank of the class of that name; -1 where the clinic has none. NULL is the ordinary patient. The
 * class is locked, so that it keeps the rank until the visit that gets it is committed.
 */
extern int priority_rank(int64 clinic_id, const char *name);

/* What may be named, for messages: "emergency, elderly, ...". */
extern char *priority_names(int64 clinic_id);

/*
 * How waiting raises visits of a clinic: the ranks that it reaches, ascending, as smallint[], and
 * the minutes a class (0: never). Two arguments of VISIT_CLASS().
 */
extern void priority_ageing(int64 clinic_id, Datum *ranks, Datum *minutes);

/* The rank that a visit v counts as now; parameters of priority_ageing(), as "$3" and "$4". */
#define VISIT_WAITS_SINCE "coalesce(v.returned_at, v.created_at)"
#define VISIT_CLASS(ranks, minutes)                                                     \
    "greatest(v.priority, (" ranks ")[least(cardinality(" ranks                         \
    "), width_bucket(v.priority, " ranks ") + CASE WHEN " minutes                       \
    " > 0 THEN floor(extract(epoch FROM now() - " VISIT_WAITS_SINCE ") / 60 / " minutes \
    ")::int ELSE 0 END)])"
/* Who is called first comes first, within one queue. */
#define VISIT_ORDER(ranks, minutes) \
    VISIT_CLASS(ranks, minutes)     \
    " DESC, coalesce(v.place, v.token_number), v.returned_at NULLS LAST, v.token_number"

#endif
