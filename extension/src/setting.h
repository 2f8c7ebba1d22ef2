/*
 * setting.h: the clinic's settings. The one list of them, with defaults and checks, is in
 * setting.c.
 */
#ifndef CQ_SETTING_H
#define CQ_SETTING_H

#include "postgres.h"

typedef enum Setting {
    SETTING_REGISTRATION_NUMBER_FORMAT,
    SETTING_DOCTORS_OPEN_VISITS,
    SETTING_DISPLAY_NAMES,
    SETTING_SESSION_MINUTES,
    SETTING_ACCESS_MINUTES,
    SETTING_SESSION_DAYS,
    SETTING_LOG_IN_ATTEMPTS,
    SETTING_LOG_IN_LOCK_SECONDS,
    SETTING_LOG_IN_ACCOUNT_ATTEMPTS,
    SETTING_TOTP_ROLES,
    SETTING_EMERGENCY_ACCESS_MINUTES,
    SETTING_PASSWORD_HASH_SLOTS,
    SETTING_PASSWORD_MEMORY_KIB,
    SETTING_PASSWORD_ITERATIONS,
    SETTING_AUDIT_READS,
    SETTING_AUDIT_SEARCHES,
    SETTING_AUDIT_READ_MINUTES,
    SETTING_AUDIT_EXPORTS,
    SETTING_AUDIT_RETENTION_YEARS,
    SETTING_REPORT_TIMEOUT_SECONDS,
    SETTING_IDEMPOTENCY_HOURS,
    SETTING_PRIORITY_AGEING_MINUTES,
    SETTING_NO_SHOW_CALLS,
    SETTING_NO_SHOW_COOL_DOWN_MINUTES,
    SETTING_RETURN_PLACE,
    SETTING_IMAGE_LIMIT_MIB,
    SETTING_UPLOADS_OF_USER,
    SETTING_UPLOAD_MINUTES,
    SETTING_ASSISTANTS_UPLOAD_IMAGES,
    SETTING_AUDIT_IMAGES,
    SETTING_COUNT
} Setting;

/* Value now in force; the text is valid until SQL runs or a setting is read again. */
extern const char *setting_text(Setting setting);
extern int setting_int(Setting setting);
/* Of a setting by role: the smallest number of any of the roles. */
extern int setting_int_of_roles(Setting setting, uint32 roles);
extern bool setting_is(Setting setting, const char *value);

#endif
