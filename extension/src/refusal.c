#include "refusal.h"

#include "actor.h"
#include "catalog/pg_type.h"
#include "error.h"
#include "gather.h"
#include "query.h"
#include "tally.h"
#include "utils/array.h"
#include "utils/errcodes.h"

#define MINUTES       1
#define STATE_LENGTH  5
#define C_PREFIX      "clinicq_"
#define ENTITY_ID_MAX 32

/* A number or a registration number; anything else is not repeated in the log. */
static const char *first_value(NullableDatum path) {
    Datum *values;
    bool *nulls;
    int count = 0;
    char *value;

    if (path.isnull)
        return "";
    deconstruct_array(DatumGetArrayTypeP(path.value), TEXTOID, -1, false, TYPALIGN_INT, &values,
                      &nulls, &count);
    if (count == 0 || nulls[0])
        return "";
    value = TextDatumGetCString(values[0]);
    return strlen(value) <= ENTITY_ID_MAX && strspn(value, "0123456789-") == strlen(value) ? value
                                                                                           : "";
}

static Tally refusal_begin(const char *entity, const char *outcome) {
    Tally tally = tally_begin(MINUTES);

    tally.action = "REFUSED";
    tally.entity = entity;
    tally.outcome = outcome;
    return tally;
}

void refusal_over_http(const char *route, NullableDatum path) {
    const char *outcome = route + strlen(REFUSED_PREFIX);
    Tally tally;

    if (strlen(outcome) <= STATE_LENGTH || outcome[STATE_LENGTH] != ' ')
        error_not_found("route", route);
    tally = refusal_begin(outcome + STATE_LENGTH + 1, pnstrdup(outcome, STATE_LENGTH));
    tally.entity_id = first_value(path);
    SPI_connect();
    tally_write(&tally);
    SPI_finish();
}

/* As it is called in psql. */
static const char *function_refused(void) {
    const char *function = actor_function();

    return strncmp(function, C_PREFIX, strlen(C_PREFIX)) == 0 ? function + strlen(C_PREFIX)
                                                              : function;
}

/* why: for the server log. */
static void refusal_in_psql(int sqlstate, const char *detail, const char *why) {
    Tally tally;

    if (actor_current()->http)
        return;
    tally = refusal_begin(function_refused(), pstrdup(unpack_sql_state(sqlstate)));
    tally.detail = detail;
    if (!gather(&tally))
        ereport(LOG_SERVER_ONLY,
                errmsg("clinicq refused: %s to %s, %s", tally.entity, tally.actor_name, why),
                errhidestmt(true), errhidecontext(true));
}

void refusal_of_role(const char *needs) {
    refusal_in_psql(ERRCODE_INSUFFICIENT_PRIVILEGE, psprintf("{\"needs\":\"%s\"}", needs),
                    psprintf("who needs one of these roles: %s", needs));
}

int errcode_refused(int sqlstate) {
    refusal_in_psql(sqlstate, "", psprintf("by a rule: %s", unpack_sql_state(sqlstate)));
    return errcode(sqlstate);
}
