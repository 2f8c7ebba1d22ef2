#include "export.h"

#include "actor.h"
#include "error.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "setting.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_begin_export);

QUERY(
    export_event,
    "SELECT coalesce((changes ->> 'first')::bigint, 0), coalesce((changes ->> 'after')::bigint, 0)"
    " FROM clinicq.audit_event WHERE at = $1 AND id = $2 AND action = 'EXPORT' AND actor_name = $3"
    " AND changes - '{first,after}'::text[] = $4::jsonb AND at > now() - interval '1 day'",
    TIMESTAMPTZOID, INT8OID, TEXTOID, TEXTOID);

AuditKey export_begin(const char *entity, const char *detail) {
    if (setting_is(SETTING_AUDIT_EXPORTS, "off"))
        return (AuditKey){0};
    if (!query_may_write())
        ereport(ERROR, errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                errmsg("nothing can be exported where the export cannot be recorded"),
                errdetail("The transaction is read-only, or the server a standby."),
                errhint("Export in a transaction that may write, on the primary server."));
    return audit_event_with("EXPORT", entity, 0, detail, "done");
}

bool export_was_begun(AuditKey key, const char *detail, int64 *first, int64 *after) {
    Datum args[4] = {TimestampTzGetDatum(key.at), Int64GetDatum(key.id),
                     CStringGetTextDatum(actor_current()->name), CStringGetTextDatum(detail)};

    *first = *after = 0;
    if (key.id == 0)
        return setting_is(SETTING_AUDIT_EXPORTS, "off");
    if (query_read(&export_event, args, NULL) == 0)
        return false;
    *first = row_int64(0, 1);
    *after = row_int64(0, 2);
    return true;
}

/* What the functions for COPY call first. */
Datum clinicq_begin_export(PG_FUNCTION_ARGS) {
    static const char *const names[] = {"kind", "from", "to"};
    StringInfoData detail;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    initStringInfo(&detail);
    appendStringInfoChar(&detail, '{');
    for (int i = 0; i < lengthof(names); i++)
        json_text(&detail, names[i], ARG_CSTRING(i));
    json_text(&detail, "format", "sql");
    appendStringInfoChar(&detail, '}');
    SPI_connect();
    export_begin("export", detail.data);
    SPI_finish();
    PG_RETURN_VOID();
}
