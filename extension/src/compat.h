/*
 * compat.h: the only file that looks at PG_VERSION_NUM.
 */
#ifndef CQ_COMPAT_H
#define CQ_COMPAT_H

#include "postgres.h"

#include "catalog/pg_proc.h"
#include "utils/acl.h"
#include "utils/regproc.h"

/* EXECUTE on a function, whatever the server calls the check. */
static inline AclResult cq_function_aclcheck(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE);
#else
    return pg_proc_aclcheck(function, role, ACL_EXECUTE);
#endif
}

/* A qualified name as a list, 42602 where it is none. */
static inline List *cq_name_list(const char *name) {
#if PG_VERSION_NUM >= 160000
    return stringToQualifiedNameList(name, NULL);
#else
    return stringToQualifiedNameList(name);
#endif
}

#endif
