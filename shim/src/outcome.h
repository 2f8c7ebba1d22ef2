/* What became of an attempt, told to the database until it knows: delivery_done(),
 * delivery_failed() and renew_delivery() of clinicq_api. */
#ifndef CLINICQ_OUTCOME_H
#define CLINICQ_OUTCOME_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

enum outcome_answer {
    OUTCOME_TAKEN,
    OUTCOME_LOST, /* another deliverer has it by now */
    OUTCOME_SILENT
};

/* Called once, from the loop. */
typedef void (*outcome_told)(void *arg, enum outcome_answer answer);

/* result is copied; NULL: none. */
void outcome_done(int64_t id, int attempt, struct json_object *result, outcome_told told,
                  void *arg);
/* retry_after: seconds, 0 for none. */
void outcome_failed(int64_t id, int attempt, const char *why, unsigned retry_after, bool never,
                    outcome_told told, void *arg);
/* Told once; OUTCOME_SILENT where the database does not answer. */
void outcome_renew(int64_t id, int attempt, outcome_told told, void *arg);

void outcome_tick(int64_t now);
int64_t outcome_next(void);
/* Forgets those that were not told yet; told() is not called any more. */
void outcome_close(void);

#endif
