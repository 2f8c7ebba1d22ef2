#include "table.h"

#include "executor/spi.h"
#include "json.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* Writes a value; true where it is a text, which has to be quoted. */
static bool write_cell(StringInfo cell, Datum value, Oid type) {
    Oid output;
    bool is_varlena;

    resetStringInfo(cell);
    switch (type) {
    case DATEOID:
        text_date(cell, DatumGetDateADT(value));
        return true;
    case TIMESTAMPTZOID:
        text_timestamp(cell, DatumGetTimestampTz(value), "Z");
        return true;
    case BOOLOID:
        appendStringInfoString(cell, DatumGetBool(value) ? "true" : "false");
        return false;
    default:
        getTypeOutputInfo(type, &output, &is_varlena);
        appendStringInfoString(cell, OidOutputFunctionCall(output, value));
        return type != INT2OID && type != INT4OID && type != INT8OID && type != NUMERICOID;
    }
}

void table_append_json_row(StringInfo json, uint64 row, int first) {
    SPITupleTable *table = SPI_tuptable;
    StringInfoData cell;

    initStringInfo(&cell);
    appendStringInfoChar(json, '{');
    for (int i = first - 1; i < table->tupdesc->natts; i++) {
        Form_pg_attribute column = TupleDescAttr(table->tupdesc, i);
        bool isnull;
        Datum value = SPI_getbinval(table->vals[row], table->tupdesc, i + 1, &isnull);

        json_key(json, NameStr(column->attname));
        if (isnull)
            appendStringInfoString(json, "null");
        else if (write_cell(&cell, value, column->atttypid))
            escape_json(json, cell.data);
        else
            appendBinaryStringInfo(json, cell.data, cell.len);
    }
    appendStringInfoChar(json, '}');
    pfree(cell.data);
}

void table_append_json(StringInfo json) {
    uint64 rows = SPI_processed;

    appendStringInfoChar(json, '[');
    for (uint64 row = 0; row < rows; row++) {
        json_comma(json);
        table_append_json_row(json, row, 1);
    }
    appendStringInfoChar(json, ']');
}

/* What begins like this is a formula to a spreadsheet (OWASP, CSV Injection). */
static bool is_formula(const char *value) {
    return *value != '\0' && strchr("=+-@\t\r", *value) != NULL;
}

static void append_csv_text(StringInfo csv, const char *value, bool safe) {
    bool quoted = *value == '\0' || strpbrk(value, ",\"\r\n") != NULL;

    if (quoted)
        appendStringInfoChar(csv, '"');
    if (safe && is_formula(value))
        appendStringInfoChar(csv, '\'');
    for (; *value != '\0'; value++) {
        if (*value == '"')
            appendStringInfoChar(csv, '"');
        appendStringInfoChar(csv, *value);
    }
    if (quoted)
        appendStringInfoChar(csv, '"');
}

void table_append_csv_names(StringInfo csv, int first) {
    TupleDesc shape = SPI_tuptable->tupdesc;

    for (int i = first - 1; i < shape->natts; i++)
        appendStringInfo(csv, "%s%s", i >= first ? "," : "",
                         NameStr(TupleDescAttr(shape, i)->attname));
    appendStringInfoString(csv, "\r\n");
}

void table_append_csv_row(StringInfo csv, uint64 row, int first, bool safe) {
    SPITupleTable *table = SPI_tuptable;
    StringInfoData cell;

    initStringInfo(&cell);
    for (int i = first - 1; i < table->tupdesc->natts; i++) {
        bool isnull;
        Datum value = SPI_getbinval(table->vals[row], table->tupdesc, i + 1, &isnull);

        if (i >= first)
            appendStringInfoChar(csv, ',');
        if (isnull)
            continue;
        if (write_cell(&cell, value, TupleDescAttr(table->tupdesc, i)->atttypid))
            append_csv_text(csv, cell.data, safe);
        else
            appendBinaryStringInfo(csv, cell.data, cell.len);
    }
    appendStringInfoString(csv, "\r\n");
    pfree(cell.data);
}

void table_append_csv(StringInfo csv, bool safe) {
    uint64 rows = SPI_processed;

    table_append_csv_names(csv, 1);
    for (uint64 row = 0; row < rows; row++)
        table_append_csv_row(csv, row, 1, safe);
}
