/*
 * report_api.c: the routes under /api/reports/. The list of reports is clinicq_report.reports().
 */
#include "postgres.h"

#include "actor.h"
#include "export.h"
#include "clock.h"
#include "dispatch.h"
#include "error.h"
#include "fields.h"
#include "json.h"
#include "query.h"
#include "reply.h"
#include "report.h"
#include "table.h"
#include "utils/json.h"

PG_FUNCTION_INFO_V1(clinicq_api_list_reports);
PG_FUNCTION_INFO_V1(clinicq_api_get_report);

#define PERIOD_DAYS 3660 /* ten years */
#define ROWS_MAX    50000

QUERY(reports_all, "SELECT name, period, by_queue, summary FROM clinicq_report.reports()");
QUERY(report_named,
      "SELECT name, period, by_queue, summary FROM clinicq_report.reports() WHERE name = $1",
      TEXTOID);

typedef struct Report {
    char *name;
    char *period; /* day, month, now or moment */
    bool by_queue;
    char *summary;
} Report;

enum Argument { FROM, TO, QUEUE, MOMENT, ARGUMENTS };

static Report report_row(uint64 row) {
    bool isnull;

    return (Report){row_text(row, 1), row_text(row, 2), DatumGetBool(row_value(row, 3, &isnull)),
                    row_text(row, 4)};
}

static bool has_period(const Report *report) {
    return strcmp(report->period, "day") == 0 || strcmp(report->period, "month") == 0;
}

static bool is_board(const Report *report) {
    return strcmp(report->period, "moment") == 0;
}

static void append_parameters(StringInfo json, const Report *report) {
    json_key(json, "parameters");
    appendStringInfo(json, "[%s%s%s\"format\",\"safe\"]",
                     has_period(report) ? "\"from\",\"to\"," : "",
                     report->by_queue ? "\"queue\"," : "", is_board(report) ? "\"at\"," : "");
}

Datum clinicq_api_list_reports(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    StringInfo json;
    uint64 rows;

    actor_require(ROLE_ADMIN | ROLE_REPORTER);
    json = makeStringInfo();
    SPI_connect();
    rows = query_read(&reports_all, NULL, NULL);
    appendStringInfoString(json, "{\"results\":[");
    for (uint64 row = 0; row < rows; row++) {
        Report report = report_row(row);

        json_comma(json);
        appendStringInfoChar(json, '{');
        json_text(json, "name", report.name);
        json_text(json, "summary", report.summary);
        json_text(json, "period", report.period);
        append_parameters(json, &report);
        json_text(json, "url", psprintf("%s/api/reports/%s/", request_base_url(), report.name));
        appendStringInfoChar(json, '}');
    }
    appendStringInfoString(json, "]}");
    SPI_finish();
    MemoryContextSwitchTo(caller);
    return reply(200, json, NULL);
}

static Report find_report(char *name) {
    Datum args[1] = {CStringGetTextDatum(name)};

    if (query_read(&report_named, args, NULL) == 0)
        error_not_found("report", name);
    return report_row(0);
}

/* Where the period is not given it ends today, and is a month long, or a year for months. */
static void read_period(Fields *query, const Report *report, Datum *args) {
    DateADT from;
    DateADT to;

    if (!query_day(query, "to", &args[TO]))
        args[TO] = DateADTGetDatum(clock_today(clock_first_clinic()));
    to = DatumGetDateADT(args[TO]);
    if (!query_day(query, "from", &args[FROM]))
        args[FROM] = DateADTGetDatum(to - (strcmp(report->period, "day") == 0 ? 30 : 365));
    from = DatumGetDateADT(args[FROM]);
    if (to < from)
        faults_add(query->faults, "to", "must not be before from");
    else if (to - from >= PERIOD_DAYS)
        faults_add(query->faults, "from", "a report covers %d days at the most", PERIOD_DAYS);
}

static void read_arguments(Fields *query, const Report *report, Datum *args, char *nulls) {
    if (has_period(report)) {
        read_period(query, report, args);
        nulls[FROM] = nulls[TO] = ' ';
    }
    if (report->by_queue && query_id(query, "queue", &args[QUEUE]))
        nulls[QUEUE] = ' ';
    if (is_board(report)) {
        if (query_text(query, "queue") == NULL)
            faults_add(query->faults, "queue", "is required");
        if (query_time(query, "at", &args[MOMENT]))
            nulls[MOMENT] = ' ';
    }
    faults_raise(query->faults);
}

/* Names come from our own list. A month that the period touches counts whole. */
static char *statement(const Report *report) {
    const char *period = "";

    if (is_board(report))
        return "SELECT * FROM clinicq_report.board_at($3, $4)";
    if (strcmp(report->period, "day") == 0)
        period = " AND day BETWEEN $1 AND $2";
    else if (strcmp(report->period, "month") == 0)
        period = " AND month BETWEEN date_trunc('month', $1::timestamp)::date AND $2";
    return psprintf("SELECT * FROM clinicq_report.%s WHERE true%s%s ORDER BY 1, 2, 3 LIMIT %d",
                    quote_identifier(report->name), period,
                    report->by_queue ? " AND ($3 IS NULL OR queue_id = $3)" : "", ROWS_MAX + 1);
}

static void run(const Report *report, Datum *args, const char *nulls) {
    static Oid types[ARGUMENTS] = {DATEOID, DATEOID, INT8OID, TIMESTAMPTZOID};

    if (SPI_execute_with_args(statement(report), ARGUMENTS, types, args, nulls, false, 0) !=
        SPI_OK_SELECT)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                errmsg("report %s could not be read", report->name));
    if (SPI_processed > ROWS_MAX) {
        Faults *faults = faults_new();

        faults_add(faults, "from",
                   "a report has %d rows at the most; ask for a shorter period or one queue",
                   ROWS_MAX);
        faults_raise(faults);
    }
}

/* The members that say what was asked. */
static void append_asked(StringInfo json, const Report *report, const Datum *args,
                         const char *nulls) {
    json_text(json, "report", report->name);
    if (has_period(report)) {
        json_date(json, "from", DatumGetDateADT(args[FROM]));
        json_date(json, "to", DatumGetDateADT(args[TO]));
    }
    if (nulls[QUEUE] == ' ')
        json_int(json, "queue", DatumGetInt64(args[QUEUE]));
    if (nulls[MOMENT] == ' ')
        json_timestamp(json, "at", DatumGetTimestampTz(args[MOMENT]), "Z");
    json_int(json, "count", (int64) SPI_processed);
}

static void record_export(const Report *report, const Datum *args, const char *nulls) {
    StringInfo detail = makeStringInfo();

    appendStringInfoChar(detail, '{');
    append_asked(detail, report, args, nulls);
    appendStringInfoChar(detail, '}');
    export_begin("report", detail->data);
}

static void append_file_name(StringInfo headers, const Report *report, const Datum *args) {
    appendStringInfoString(headers, report->name);
    for (int i = FROM; has_period(report) && i <= TO; i++) {
        appendStringInfoChar(headers, '_');
        text_date(headers, DatumGetDateADT(args[i]));
    }
    appendStringInfoString(headers, ".csv");
}

static Datum csv_reply(const Report *report, const Datum *args, const char *nulls,
                       MemoryContext caller, bool safe) {
    StringInfo csv = makeStringInfo();
    StringInfo json;
    StringInfo headers;

    table_append_csv(csv, safe);
    record_export(report, args, nulls);
    MemoryContextSwitchTo(caller);
    json = makeStringInfo();
    escape_json(json, csv->data);
    headers = makeStringInfo();
    appendStringInfoString(headers, "{\"Content-Type\":\"text/csv; charset=utf-8\","
                                    "\"Content-Disposition\":\"attachment; filename=\\\"");
    append_file_name(headers, report, args);
    appendStringInfoString(headers, "\\\"\"}");
    SPI_finish();
    return reply(200, json, headers);
}

static Datum json_reply(const Report *report, const Datum *args, const char *nulls,
                        MemoryContext caller) {
    StringInfo json;

    MemoryContextSwitchTo(caller);
    json = makeStringInfo();
    appendStringInfoChar(json, '{');
    append_asked(json, report, args, nulls);
    json_key(json, "results");
    table_append_json(json);
    appendStringInfoChar(json, '}');
    SPI_finish();
    return reply(200, json, NULL);
}

Datum clinicq_api_get_report(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    Fields *query;
    Report report;
    Datum args[ARGUMENTS] = {0};
    char nulls[] = "nnnn";
    bool csv;
    bool safe;

    actor_require(ROLE_ADMIN | ROLE_REPORTER);
    query = fields_of_query(fcinfo);
    SPI_connect();
    report = find_report(path_text(fcinfo, 0));
    csv = query_choice(query, "format", "json", "csv");
    safe = !query_choice(query, "safe", "on", "off");
    read_arguments(query, &report, args, nulls);
    /* Without the keeper, those who read reports keep them quick. */
    if (query_may_write())
        report_summarise(1);
    run(&report, args, nulls);
    return csv ? csv_reply(&report, args, nulls, caller, safe)
               : json_reply(&report, args, nulls, caller);
}
