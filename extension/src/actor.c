#include "actor.h"

#include "access/xact.h"
#include "cache.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "query.h"
#include "refusal.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"

PG_FUNCTION_INFO_V1(clinicq_current_actor);
PG_FUNCTION_INFO_V1(clinicq_require_role);

/* The one list of roles; clinicq_<name> is the group role of each in psql. */
static const char *const role_names[ROLE_COUNT] = {"admin",   "doctor",  "assistant",
                                                   "display", "auditor", "reporter"};

static Actor current;
static bool in_request = false;
static const char *worker = NULL;
static const char *function_entered = "";

static void transaction_ended(XactEvent event, void *arg) {
    switch (event) {
    case XACT_EVENT_PRE_PREPARE:
        if (in_request)
            ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("a transaction that serves a request cannot be prepared"));
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_ABORT:
    case XACT_EVENT_PREPARE:
        in_request = false;
        break;
    default:
        break;
    }
}

void actor_init(void) {
    RegisterXactCallback(transaction_ended, NULL);
}

void actor_begin_http(const char *request_id, const char *client) {
    if (in_request)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("this transaction has served a request already"),
                errhint("Send each request in a transaction of its own."));
    memset(&current, 0, sizeof current);
    current.http = true;
    current.door = "http";
    strlcpy(current.name, "anonymous", sizeof current.name);
    if (request_id != NULL) /* cut between characters, so that the audit log stays text */
        strlcpy(current.request_id, request_id,
                pg_mbcliplen(request_id, strlen(request_id), sizeof current.request_id - 1) + 1);
    strlcpy(current.client, client ? client : "", sizeof current.client);
    in_request = true;
}

void actor_set_user(int64 user_id, const char *name, uint32 roles) {
    Assert(in_request && current.user_id == 0);
    current.user_id = user_id;
    strlcpy(current.name, name, sizeof current.name);
    current.roles = roles;
}

void actor_set_due(const char *due) {
    current.due = due;
}

void actor_begin_worker(const char *name) {
    worker = name;
}

/* The address of a psql client; none over a Unix socket. */
static void set_client_address(void) {
    LOCAL_FCINFO(call, 0);
    Datum address;

    InitFunctionCallInfoData(*call, NULL, 0, InvalidOid, NULL, NULL);
    address = inet_client_addr(call);
    if (!call->isnull)
        strlcpy(current.client, DatumGetCString(DirectFunctionCall1(inet_out, address)),
                sizeof current.client);
}

const Actor *actor_current(void) {
    if (!in_request) {
        memset(&current, 0, sizeof current);
        current.door = worker ? "worker" : "psql";
        strlcpy(current.name, worker ? worker : GetUserNameFromId(GetSessionUserId(), false),
                sizeof current.name);
        if (worker == NULL)
            set_client_address();
    }
    return &current;
}

uint32 actor_roles(void) {
    uint32 roles = 0;

    if (in_request)
        return current.roles;
    for (int i = 0; i < ROLE_COUNT; i++) {
        char group[NAMEDATALEN];
        Oid oid;

        snprintf(group, sizeof group, "clinicq_%s", role_names[i]);
        oid = get_role_oid(group, true);
        if (OidIsValid(oid) && has_privs_of_role(GetOuterUserId(), oid))
            roles |= 1u << i;
    }
    return roles;
}

void actor_require_for(uint32 roles, const char *function) {
    StringInfoData names;

    cache_require_ready();
    function_entered = function;
    if (actor_roles() & roles)
        return;
    initStringInfo(&names);
    for (int i = 0; i < ROLE_COUNT; i++)
        if (roles & (1u << i))
            appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", role_names[i]);
    refusal_of_role(names.data);
    ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("this needs one of these roles: %s", names.data),
            errhint("Ask an administrator for one of them."));
}

const char *actor_function(void) {
    return function_entered;
}

uint32 role_bit(const char *name) {
    for (int i = 0; i < ROLE_COUNT; i++)
        if (strcmp(name, role_names[i]) == 0)
            return 1u << i;
    return 0;
}

bool roles_read(Datum array, uint32 *roles) {
    Datum *items;
    bool *nulls;
    int count;

    *roles = 0;
    deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls,
                      &count);
    for (int i = 0; i < count; i++) {
        uint32 bit = nulls[i] ? 0 : role_bit(TextDatumGetCString(items[i]));

        if (bit == 0)
            return false;
        *roles |= bit;
    }
    return true;
}

uint32 roles_from_array(Datum array) {
    uint32 roles;

    roles_read(array, &roles);
    return roles;
}

Datum roles_to_array(uint32 roles) {
    Datum items[ROLE_COUNT];
    int count = 0;

    for (int i = 0; i < ROLE_COUNT; i++)
        if (roles & (1u << i))
            items[count++] = CStringGetTextDatum(role_names[i]);
    return PointerGetDatum(construct_array(items, count, TEXTOID, -1, false, TYPALIGN_INT));
}

void roles_append_json(StringInfo json, uint32 roles) {
    const char *separator = "";

    appendStringInfoChar(json, '[');
    for (int i = 0; i < ROLE_COUNT; i++)
        if (roles & (1u << i)) {
            appendStringInfo(json, "%s\"%s\"", separator, role_names[i]);
            separator = ",";
        }
    appendStringInfoChar(json, ']');
}

Datum clinicq_current_actor(PG_FUNCTION_ARGS) {
    const Actor *actor = actor_current();
    Datum values[4];
    bool nulls[4] = {false, actor->user_id == 0, false, false};
    TupleDesc shape;

    cache_require_ready();
    if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "current_actor() must return a record");
    values[0] = CStringGetTextDatum(actor->door);
    values[1] = Int64GetDatum(actor->user_id);
    values[2] = CStringGetTextDatum(actor->name);
    values[3] = roles_to_array(actor_roles());
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

Datum clinicq_require_role(PG_FUNCTION_ARGS) {
    uint32 wanted;

    ARG_REQUIRE(0, "roles");
    if (!roles_read(PG_GETARG_DATUM(0), &wanted))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no such role"),
                errhint("Roles are admin, doctor, assistant, display, auditor and reporter."));
    actor_require(wanted);
    PG_RETURN_VOID();
}
