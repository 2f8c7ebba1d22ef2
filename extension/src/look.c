#include "look.h"

#include "access/xact.h"
#include "actor.h"
#include "executor/spi.h"
#include "gather.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/pg_list.h"
#include "setting.h"
#include "tally.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"

#define TERM_MAX 1020 /* bytes of a search's term */

/* A look from psql that this transaction has written, and would take back. */
typedef struct WrittenLook {
    int level; /* of the subtransaction */
    char *text;
} WrittenLook;

static List *written = NIL; /* in TopTransactionContext */

static void written_remember(const Tally *tally) {
    MemoryContext previous = MemoryContextSwitchTo(TopTransactionContext);
    WrittenLook *item = palloc(sizeof *item);

    item->level = GetCurrentTransactionNestLevel();
    item->text = psprintf("%s %s %s by %s", tally->action, tally->entity, tally->entity_id,
                          tally->actor_name);
    written = lappend(written, item);
    MemoryContextSwitchTo(previous);
}

/* What has been seen has been seen: a rollback of the look goes to the server log. */
static void written_lost(int level) {
    ListCell *cell;

    foreach (cell, written) {
        WrittenLook *item = lfirst(cell);

        if (item->level >= level && item->text != NULL) {
            ereport(LOG_SERVER_ONLY,
                    errmsg("clinicq look: %s; its transaction was rolled back", item->text),
                    errhidestmt(true), errhidecontext(true));
            item->text = NULL;
        }
    }
}

static void transaction_ended(XactEvent event, void *arg) {
    if (event == XACT_EVENT_ABORT)
        written_lost(0);
    if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
        written = NIL;
}

static void subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent,
                                 void *arg) {
    int level = GetCurrentTransactionNestLevel();
    ListCell *cell;

    if (event == SUBXACT_EVENT_ABORT_SUB)
        written_lost(level);
    if (event == SUBXACT_EVENT_COMMIT_SUB)
        foreach (cell, written) {
            WrittenLook *item = lfirst(cell);

            item->level = Min(item->level, level - 1);
        }
}

void look_init(void) {
    RegisterXactCallback(transaction_ended, NULL);
    RegisterSubXactCallback(subtransaction_ended, NULL);
}

/*
 * A request that only reads does not wait for the disk; in psql the transaction may hold more than
 * this look.
 */
static void look(const Tally *tally) {
    SPITupleTable *rows = SPI_tuptable;

    if (gather(tally))
        return;
    if (actor_current()->http && GetTopTransactionIdIfAny() == InvalidTransactionId)
        set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                          true, 0, false);
    tally_write(tally);
    if (!actor_current()->http)
        written_remember(tally);
    SPI_tuptable = rows;
}

static Tally look_begin(const char *action, const char *entity, const char *outcome) {
    Tally tally = tally_begin(setting_int(SETTING_AUDIT_READ_MINUTES));

    tally.action = action;
    tally.entity = entity;
    tally.outcome = outcome;
    return tally;
}

static void look_at(const char *entity, int64 id, const char *outcome) {
    Tally tally = look_begin("READ", entity, outcome);
    char key[24];

    snprintf(key, sizeof key, INT64_FORMAT, id);
    tally.entity_id = key;
    look(&tally);
}

void look_read(const char *entity, int64 id, const char *outcome) {
    if (!setting_is(SETTING_AUDIT_READS, "off"))
        look_at(entity, id, outcome);
}

void look_image(int64 prescription_id, const char *outcome) {
    if (!setting_is(SETTING_AUDIT_IMAGES, "off"))
        look_at("prescription", prescription_id, outcome);
}

void look_search(const char *term, int64 matched) {
    StringInfoData detail;
    Tally tally;

    if (setting_is(SETTING_AUDIT_SEARCHES, "off"))
        return;
    tally = look_begin("SEARCH", "patient", "done");
    initStringInfo(&detail);
    appendStringInfoString(&detail, "{\"term\":");
    escape_json(&detail, pnstrdup(term, pg_mbcliplen(term, strlen(term), TERM_MAX)));
    appendStringInfo(&detail, ",\"matched\":" INT64_FORMAT "}", matched);
    tally.detail = detail.data;
    look(&tally);
}

void look_audit(int64 patient_id, const char *filters) {
    Tally tally;

    if (patient_id != 0) {
        look_at("patient", patient_id, "history");
        return;
    }
    tally = look_begin("READ", "audit_event", "done");
    tally.detail = filters;
    look(&tally);
}
