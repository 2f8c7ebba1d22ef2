/*
 * gauges.c: what Prometheus is told of the database; the shim passes it on as it is.
 */
#include "postgres.h"

#include "cache.h"
#include "fmgr.h"
#include "keeper.h"
#include "lib/stringinfo.h"
#include "outbox.h"
#include "query.h"
#include "sealing.h"

PG_FUNCTION_INFO_V1(clinicq_gauges);

static void gauge(StringInfo out, const char *name, const char *help, double value) {
    appendStringInfo(out, "# HELP clinicq_%s %s\n# TYPE clinicq_%s gauge\nclinicq_%s %.3f\n", name,
                     help, name, name, value);
}

Datum clinicq_gauges(PG_FUNCTION_ARGS) {
    StringInfoData out;
    double seconds;
    int64 count;
    Seal last;
    bool is_signed;

    cache_require_ready();
    initStringInfo(&out);
    SPI_connect();
    count = unsealed_count(&seconds);
    is_signed = !seal_last(&last) || last.is_signed;
    outbox_append_gauges(&out);
    SPI_finish();
    gauge(&out, "keeper_running", "Whether a keeper works for this database.", keeper_is_running());
    gauge(&out, "audit_unsealed_events", "Committed events that no seal holds yet, up to 50000.",
          (double) count);
    gauge(&out, "audit_unsealed_seconds", "Age of the oldest of them.", seconds);
    gauge(&out, "audit_last_seal_signed", "Whether the last seal, if there is one, is signed.",
          is_signed);
    gauge(&out, "audit_seal_key_configured",
          "Whether clinicq.seal_key_file names a key to sign seals with.",
          seal_key_is_configured());
    PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
