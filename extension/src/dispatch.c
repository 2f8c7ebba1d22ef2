#include "dispatch.h"

#include "access/xact.h"
#include "actor.h"
#include "cache.h"
#include "compat.h"
#include "error.h"
#include "etag.h"
#include "fmgr.h"
#include "funcapi.h"
#include "idempotency.h"
#include "json.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "query.h"
#include "refusal.h"
#include "reply.h"
#include "session.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(clinicq_call);
PG_FUNCTION_INFO_V1(clinicq_catalogue);

#define ROUTE_KEY_MAX 200

typedef struct Route {
    char key[ROUTE_KEY_MAX]; /* "GET /api/patients/" */
    FmgrInfo function;
    bool open;       /* no token needed */
    bool for_anyone; /* no role needed: what a user may call whose password has to be changed */
    bool reads;      /* GET */
    bool keyed;      /* a write that an Idempotency-Key makes be done once */
    bool secret;     /* its request or reply holds a secret */
    bool tagged;     /* its reply has an ETag */
    const Entity *entity; /* what If-Match is compared with, NULL for nothing */
} Route;

QUERY(
    routes_all,
    "SELECT method || ' ' || path, function, who = '{anyone}', who IN ('{any}', '{anyone}'), secret FROM clinicq.route"
    " UNION ALL SELECT 'BEFORE ' || method || ' ' || path, before, who = '{anyone}', true, secret"
    " FROM clinicq.route WHERE before IS NOT NULL"
    " UNION ALL SELECT 'INTAKE ' || method || ' ' || path, intake, who = '{anyone}', who IN ('{any}', '{anyone}'), secret"
    " FROM clinicq.route WHERE intake IS NOT NULL");
QUERY(
    catalogue_json,
    "SELECT json_build_object('version', $1,"
    " 'demo_users', (SELECT count(*) FROM clinicq.app_user WHERE is_demo AND disabled_at IS NULL),"
    " 'routes', (SELECT json_agg(json_build_object('key', method || ' ' || path, 'method', method, 'path', path,"
    "   'class', class, 'body', body, 'body_limit', body_limit, 'open', who = '{anyone}', 'lane', lane, 'before', before IS NOT NULL, 'ranges', ranges, 'signature', signature)"
    "   ORDER BY path, method) FROM clinicq.route),"
    " 'problems', (SELECT json_agg(json_build_object('sqlstate', sqlstate, 'status', status, 'type', type,"
    "   'title', title, 'reveal', reveal, 'audited', audited) ORDER BY sqlstate) FROM clinicq.problem))::text",
    TEXTOID);

static MemoryContext routes_memory = NULL;
static HTAB *routes = NULL;
static uint64 routes_at = 0;

/* Set while a routed function runs, and only then: their memory goes with the request. */
static const char *body_fault = NULL;
static const char *base_url = NULL;
static const char *token = NULL;
static const char *user_agent = NULL;
static const char *if_none_match = NULL;

const char *request_body_fault(void) {
    return body_fault;
}

const char *request_base_url(void) {
    return base_url ? base_url : "";
}

const char *request_token(void) {
    return token ? token : "";
}

const char *request_user_agent(void) {
    return user_agent;
}

const char *request_if_none_match(void) {
    return if_none_match;
}

/*
 * The function that a route names, InvalidOid where it cannot serve one: the dispatcher runs as
 * clinicq_owner, and so will the function.
 */
static Oid route_function(const char *key, const char *name) {
    static const Oid signature[] = {TEXTARRAYOID, JSONBOID, TEXTOID};
    Oid function = LookupFuncName(cq_name_list(name), lengthof(signature), signature, true);
    const char *fault = NULL;

    if (!OidIsValid(function))
        fault = "does not exist with the arguments (text[], jsonb, text)";
    else if (get_func_rettype(function) != reply_type() || get_func_retset(function))
        fault = "does not return clinicq_api.reply";
    else if (cq_function_aclcheck(function, GetUserId()) != ACLCHECK_OK)
        fault = "may not be executed by clinicq_owner";
    if (fault != NULL)
        ereport(LOG, errcode(ERRCODE_UNDEFINED_FUNCTION),
                errmsg("route %s is not served: function %s %s", key, name, fault));
    return fault ? InvalidOid : function;
}

/* What Idempotency-Key, If-Match and If-None-Match mean to it. */
static void route_conditions(Route *route) {
    bool part = strncmp(route->key, "BEFORE ", 7) == 0 || strncmp(route->key, "INTAKE ", 7) == 0;
    bool whole;
    const char *path = strchr(route->key, ' ') + 1;
    const Entity *kind = entity_of(path, &whole);

    route->reads = strncmp(route->key, "GET ", 4) == 0;
    route->keyed = !route->reads && !part && !route->open;
    route->tagged = route->reads || (kind != NULL && entity_is_answered(kind, path));
    route->entity = route->keyed && kind != NULL && whole ? kind : NULL;
}

static void routes_load(void) {
    HASHCTL control = {.keysize = ROUTE_KEY_MAX, .entrysize = sizeof(Route)};
    uint64 generation;
    uint64 rows;

    if (routes_memory == NULL)
        routes_memory =
            AllocSetContextCreate(TopMemoryContext, "ClinicQ routes", ALLOCSET_SMALL_SIZES);
    MemoryContextReset(routes_memory);
    routes = NULL;
    control.hcxt = routes_memory;

    generation = cache_fill_begin();
    rows = query_read(&routes_all, NULL, NULL);
    routes = hash_create("ClinicQ routes", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
    for (uint64 row = 0; row < rows; row++) {
        char *key = row_text(row, 1);
        Oid function = route_function(key, row_text(row, 2));
        Route *route;
        bool isnull;

        if (!OidIsValid(function) || strlen(key) >= ROUTE_KEY_MAX)
            continue;
        route = hash_search(routes, key, HASH_ENTER, NULL);
        fmgr_info_cxt(function, &route->function, routes_memory);
        route->open = DatumGetBool(row_value(row, 3, &isnull));
        route->for_anyone = DatumGetBool(row_value(row, 4, &isnull));
        route->secret = row_bool(row, 5);
        route_conditions(route);
    }
    cache_fill_end(generation);
    routes_at = generation;
}

static Route *route_find(const char *key) {
    Route *route;

    if (routes == NULL || routes_at != cache_generation)
        routes_load();
    route = strlen(key) < ROUTE_KEY_MAX ? hash_search(routes, key, HASH_FIND, NULL) : NULL;
    if (route == NULL)
        error_none(
            "clinicq.route lists those that there are; the shim reads it anew every five seconds.",
            "no route %s", key);
    return route;
}

static void route_invoke(const Route *route, FunctionCallInfo routed, FunctionCallInfo fcinfo,
                         Datum *columns, bool *nulls) {
    Datum result;

    body_fault = ARG_CSTRING(5);
    base_url = ARG_CSTRING(8);
    token = ARG_CSTRING(1);
    user_agent = ARG_CSTRING(9);
    if_none_match = ARG_CSTRING(13);
    PG_TRY();
    result = FunctionCallInvoke(routed);
    PG_FINALLY();
    body_fault = base_url = token = user_agent = if_none_match = NULL;
    PG_END_TRY();
    if (!routed->isnull)
        reply_read(result, columns, nulls);
    if (routed->isnull || nulls[0])
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_NULL_VALUE_NOT_ALLOWED),
                errmsg("the function of route %s returned no status", route->key));
}

static void add_header(const char *name, const char *value, Datum *columns, bool *nulls) {
    columns[2] = headers_with(nulls[2] ? NULL : TextDatumGetCString(columns[2]), name, value);
    nulls[2] = false;
}

/*
 * The ETag of a reply that shows something, whole; 304 where the client has it. The body goes with
 * that too: its length is the reply's Content-Length (RFC 9110, 8.6). The representation of a reply
 * in pages is all of them, that of a stream of events never whole.
 */
static void add_etag(const Route *route, FunctionCallInfo fcinfo, Datum *columns, bool *nulls) {
    int status = DatumGetInt32(columns[0]);
    char tag[ETAG_SIZE];
    text *body;

    if (!route->tagged || nulls[1] || (status != 200 && (status != 201 || route->reads)))
        return;
    if (!nulls[2]) {
        char *headers = TextDatumGetCString(columns[2]);

        if (headers_name(headers, "ETag") || headers_name(headers, "Next-Page") ||
            headers_name(headers, "Feed-Position"))
            return;
    }
    body = DatumGetTextPP(columns[1]);
    etag_of(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), tag);
    add_header("ETag", tag, columns, nulls);
    if (route->reads && !PG_ARGISNULL(13) && etag_is_listed(ARG_CSTRING(13), tag, true))
        columns[0] = Int32GetDatum(304);
}

/*
 * Whether If-Match holds is found out before the function runs, under the row's lock, and said
 * after it: a refusal of its own goes first (RFC 9110, section 13.2.1). The error undoes its work.
 */
static void serve(const Route *route, FunctionCallInfo routed, FunctionCallInfo fcinfo,
                  Datum *columns, bool *nulls) {
    bool matches = route->entity == NULL || PG_ARGISNULL(12) ||
                   entity_matches(route->entity, routed, ARG_CSTRING(12));

    route_invoke(route, routed, fcinfo, columns, nulls);
    if (!matches && DatumGetInt32(columns[0]) < 400)
        ereport(ERROR, errcode(ERRCODE_CQ_PRECONDITION),
                errmsg("it has changed since it was read: If-Match does not hold"),
                errhint("Read it again, and send the change with the new ETag."));
    add_etag(route, fcinfo, columns, nulls);
}

static void serve_once(const Route *route, FunctionCallInfo routed, FunctionCallInfo fcinfo,
                       Datum *columns, bool *nulls) {
    KeyedRequest request = {.key = idempotency_key(ARG_CSTRING(11)),
                            .route = route->key,
                            .secret = route->secret,
                            .routed = routed};

    if (idempotency_find(&request, columns, nulls)) {
        add_header("Idempotency-Replayed", "true", columns, nulls);
    } else {
        serve(route, routed, fcinfo, columns, nulls);
        idempotency_keep(&request, columns, nulls);
    }
}

/* The columns of call(), with the actor filled in. */
static Datum call_row(FunctionCallInfo fcinfo, Datum *columns, bool *nulls) {
    TupleDesc shape;

    columns[3] = Int64GetDatum(actor_current()->user_id);
    nulls[3] = actor_current()->user_id == 0;
    if (fcinfo->flinfo->fn_extra == NULL) {
        MemoryContext previous = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

        if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "call() must return a record");
        fcinfo->flinfo->fn_extra = BlessTupleDesc(shape);
        MemoryContextSwitchTo(previous);
    }
    return HeapTupleGetDatum(heap_form_tuple(fcinfo->flinfo->fn_extra, columns, nulls));
}

/* Of somebody whose session has ended meanwhile nothing but the address is known. */
static Datum call_refused(FunctionCallInfo fcinfo, const char *key) {
    Datum columns[4] = {Int32GetDatum(204)};
    bool nulls[4] = {false, true, true, true};

    if (!PG_ARGISNULL(1))
        session_authenticate(ARG_CSTRING(1));
    refusal_over_http(key, fcinfo->args[2]);
    return call_row(fcinfo, columns, nulls);
}

/*
 * Shown by pg_stat_activity, and by %a in the server's log, until the transaction ends: the
 * session's own name, as far as there is room, and the id.
 */
static void show_request(const char *id) {
    char name[NAMEDATALEN];
    size_t length = strnlen(id, NAMEDATALEN - 1);
    size_t own = *application_name ? strlen(application_name) + 1 : 0;

    own = Min(own, NAMEDATALEN - 1 - length);
    memcpy(name, application_name, own);
    if (own > 0)
        name[own - 1] = ' ';
    memcpy(name + own, id, length);
    name[own + length] = '\0';
    set_config_option("application_name", name, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
                      0, false);
}

Datum clinicq_call(PG_FUNCTION_ARGS) {
    Route *route = NULL;
    char *key = ARG_CSTRING(0);
    Datum columns[4];
    bool nulls[4];
    LOCAL_FCINFO(routed, 3);

    cache_require_ready();
    actor_begin_http(ARG_CSTRING(6),
                     PG_ARGISNULL(7)
                         ? NULL
                         : DatumGetCString(DirectFunctionCall1(inet_out, PG_GETARG_DATUM(7))));
    if (!PG_ARGISNULL(6) || !PG_ARGISNULL(10))
        show_request(ARG_CSTRING(PG_ARGISNULL(10) ? 6 : 10));
    if (key != NULL && strncmp(key, REFUSED_PREFIX, strlen(REFUSED_PREFIX)) == 0)
        PG_RETURN_DATUM(call_refused(fcinfo, key));
    if (key != NULL)
        route = route_find(key);
    if (route == NULL || !route->open) {
        if (PG_ARGISNULL(1))
            ereport(
                ERROR, errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
                errmsg("authentication credentials were not provided"),
                errhint("Send the header Authorization: Token ... with the token from log-in."));
        if (!session_authenticate(ARG_CSTRING(1)))
            ereport(ERROR, errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
                    errmsg("the token is not valid, or no longer"), errhint("Log in again."));
    }
    if (route == NULL)
        ereport(ERROR, errcode(ERRCODE_CQ_METHOD), errmsg("this method is not allowed here"));
    if (actor_current()->due != NULL && !route->for_anyone)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_DUE), errmsg("%s", actor_current()->due),
                errhint("POST /api/auth/password/ or /api/auth/totp/ does it."));

    InitFunctionCallInfoData(*routed, &route->function, 3, InvalidOid, NULL, NULL);
    for (int i = 0; i < 3; i++)
        routed->args[i] = fcinfo->args[2 + i];
    if (route->keyed && !PG_ARGISNULL(11))
        serve_once(route, routed, fcinfo, columns, nulls);
    else
        serve(route, routed, fcinfo, columns, nulls);
    PG_RETURN_DATUM(call_row(fcinfo, columns, nulls));
}

Datum clinicq_catalogue(PG_FUNCTION_ARGS) {
    Datum args[1] = {CStringGetTextDatum(CLINICQ_VERSION)};
    MemoryContext caller = CurrentMemoryContext;
    char *json;

    cache_require_ready();
    SPI_connect();
    query_read(&catalogue_json, args, NULL);
    json = MemoryContextStrdup(caller, row_text(0, 1));
    SPI_finish();
    PG_RETURN_TEXT_P(cstring_to_text(json));
}
