#include "reply.h"

#include "access/htup_details.h"
#include "cache.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "json.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

Oid reply_type(void) {
    return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, PointerGetDatum("reply"),
                           ObjectIdGetDatum(get_namespace_oid("clinicq_api", false)));
}

/* The row type, kept for as long as no function is created or dropped: the type goes with them. */
static TupleDesc reply_shape(void) {
    static TupleDesc shape = NULL;
    static uint64 shape_at = 0;

    if (shape_at != cache_generation) {
        uint64 generation = cache_generation;
        TupleDesc found = lookup_rowtype_tupdesc(reply_type(), -1);
        MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);

        if (shape != NULL)
            FreeTupleDesc(shape);
        shape = CreateTupleDescCopy(found);
        MemoryContextSwitchTo(previous);
        ReleaseTupleDesc(found);
        shape_at = generation;
    }
    return shape;
}

static Datum json_datum(StringInfo json) {
    return PointerGetDatum(cstring_to_text_with_len(json->data, json->len));
}

Datum reply(int status, StringInfo body, StringInfo headers) {
    Datum columns[3];
    bool nulls[3] = {false, body == NULL, headers == NULL};

    columns[0] = Int32GetDatum(status);
    columns[1] = body ? json_datum(body) : (Datum) 0;
    columns[2] = headers ? json_datum(headers) : (Datum) 0;
    return HeapTupleGetDatum(heap_form_tuple(reply_shape(), columns, nulls));
}

void reply_read(Datum value, Datum columns[3], bool nulls[3]) {
    HeapTupleHeader header = DatumGetHeapTupleHeader(value);
    HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};

    heap_deform_tuple(&tuple, reply_shape(), columns, nulls);
}

bool headers_name(const char *headers, const char *name) {
    size_t length = strlen(name);

    while (headers != NULL && (headers = strchr(headers, '"')) != NULL)
        if (pg_strncasecmp(++headers, name, length) == 0 && headers[length] == '"')
            return true;
    return false;
}

Datum headers_with(const char *headers, const char *name, const char *value) {
    const char *rest = headers ? strchr(headers, '{') : NULL;
    StringInfoData json;

    rest = rest ? rest + 1 : "}";
    rest += strspn(rest, " \t\r\n");
    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_text(&json, name, value);
    appendStringInfo(&json, "%s%s", *rest == '}' ? "" : ",", rest);
    return json_datum(&json);
}
