#include "setting.h"

#include "actor.h"
#include "address.h"
#include "cache.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "outbox.h"
#include "password_reset.h"
#include "query.h"
#include "registration.h"
#include "totp.h"
#include "utils/memutils.h"

#include <limits.h>

PG_FUNCTION_INFO_V1(clinicq_setting);
PG_FUNCTION_INFO_V1(clinicq_set_setting);
PG_FUNCTION_INFO_V1(clinicq_settings);

typedef struct SettingRule {
    const char *name;
    const char *default_value;
    const char *choices;                     /* "on off", or NULL */
    int min, max;                            /* of a number, where choices is NULL and max > 0 */
    bool by_role;                            /* roles may have a number of their own */
    const char *(*fault)(const char *value); /* a check of its own: NULL, or what is wrong */
    const char *description;
} SettingRule;

#define BY_ROLE                                                                               \
    "one number for all roles, and others for some behind it, as in 60,display=90,admin=30. " \
    "Who has several roles gets the smallest."

static const SettingRule rules[SETTING_COUNT] = {
    [SETTING_REGISTRATION_NUMBER_FORMAT] =
        {"registration_number_format", "##-##-###", .fault = registration_format_fault,
         .description =
             "How registration numbers look: # is a digit of the serial; {MM}, {YY} and {CT} "
             "stand for month, year and category and start a serial of their own."},
    [SETTING_DOCTORS_OPEN_VISITS] =
        {"doctors_open_visits", "off", .choices = "on off",
         .description = "Whether doctors may open visits, as assistants do: on or off."},
    [SETTING_DISPLAY_NAMES] =
        {"display_names", "initials", .choices = "none initials full",
         .description = "How the display role sees a patient's name: none, initials or full."},
    [SETTING_SESSION_MINUTES] =
        {"session_minutes", "720,display=43200", .min = 5, .max = 43200, .by_role = true,
         .description = "Minutes after the last use at which a session ends; " BY_ROLE},
    [SETTING_ACCESS_MINUTES] =
        {"access_minutes", "15", .min = 1, .max = 1440, .by_role = true,
         .description =
             "Minutes that an access token lives which came with a refresh token; " BY_ROLE},
    [SETTING_SESSION_DAYS] =
        {"session_days", "30,display=365", .min = 1, .max = 3650, .by_role = true,
         .description = "Days after log-in at which a session ends, however it is used; " BY_ROLE},
    [SETTING_LOG_IN_ATTEMPTS] =
        {"log_in_attempts", "5", .min = 2, .max = 100,
         .description = "Wrong log-ins with one name from one address before it has to wait."},
    [SETTING_LOG_IN_LOCK_SECONDS] =
        {"log_in_lock_seconds", "60", .min = 1, .max = 3600,
         .description =
             "Seconds it has to wait then; twice as long each further time, up to an hour."},
    [SETTING_LOG_IN_ACCOUNT_ATTEMPTS] =
        {"log_in_account_attempts", "50", .min = 5, .max = 100000,
         .description =
             "Wrong log-ins with one name from all addresses in 15 minutes, past which addresses that it never logged in from have to wait."},
    [SETTING_TOTP_ROLES] =
        {"totp_roles", "", .fault = totp_roles_fault,
         .description =
             "Roles that must log in with a second factor, with commas between them; empty for none."},
    [SETTING_EMERGENCY_ACCESS_MINUTES] =
        {"emergency_access_minutes", "60", .min = 5, .max = 1440,
         .description = "Minutes that emergency access to a restricted record lasts."},
    [SETTING_PASSWORD_HASH_SLOTS] = {"password_hash_slots", "2", .min = 1, .max = 64,
                                     .description = "How many passwords are hashed at a time."},
    [SETTING_PASSWORD_MEMORY_KIB] = {"password_memory_kib", "19456", .min = 7168, .max = 1048576,
                                     .description = "Memory of an Argon2id password hash, in KiB."},
    [SETTING_PASSWORD_ITERATIONS] = {"password_iterations", "2", .min = 1, .max = 20,
                                     .description = "Passes of an Argon2id password hash."},
    [SETTING_AUDIT_READS] =
        {"audit_reads", "on", .choices = "on off",
         .description =
             "Whether who looks at a patient or a visit is in the audit log: on or off."},
    [SETTING_AUDIT_SEARCHES] =
        {"audit_searches", "on", .choices = "on off",
         .description = "Whether who searches patients for what is in the audit log: on or off."},
    [SETTING_AUDIT_EXPORTS] =
        {"audit_exports", "on", .choices = "on off",
         .description =
             "Whether who takes the audit log, patients, visits or queues away is in the "
             "audit log: on or off."},
    [SETTING_AUDIT_RETENTION_YEARS] =
        {"audit_retention_years", "7", .min = 7, .max = 1000,
         .description =
             "Years for which a month of the audit log is kept at the least before an administrator may remove it."},
    [SETTING_AUDIT_READ_MINUTES] =
        {"audit_read_minutes", "5", .min = 1, .max = 60,
         .description =
             "Minutes in which equal looks of one user are one event of the audit log, with a count."},
    [SETTING_REPORT_TIMEOUT_SECONDS] =
        {"report_timeout_seconds", "60", .min = 1, .max = 86400,
         .description =
             "Seconds that a report may take, or its transaction may idle, in a session that has no such limits of its own."},
    [SETTING_IDEMPOTENCY_HOURS] =
        {"idempotency_hours", "24", .min = 1, .max = 168,
         .description =
             "Hours in which a request that is repeated with its Idempotency-Key is answered and not done again."},
    [SETTING_PRIORITY_AGEING_MINUTES] =
        {"priority_ageing_minutes", "0", .min = 0, .max = 1440,
         .description =
             "Minutes of waiting after which a visit counts one priority class higher, and after as many again two; 0: never."},
    [SETTING_NO_SHOW_CALLS] =
        {"no_show_calls", "1", .min = 1, .max = 20,
         .description =
             "How often a patient must have been called, start and announcements, before a no-show is possible."},
    [SETTING_NO_SHOW_COOL_DOWN_MINUTES] =
        {"no_show_cool_down_minutes", "0", .min = 0, .max = 1440,
         .description = "Minutes after a no-show before the patient may be recalled."},
    [SETTING_RETURN_PLACE] =
        {"return_place", "old", .choices = "old end",
         .description =
             "Where a visit stands that returns to the queue (sent back, recalled, resumed): old, by its token, or end."},
    [SETTING_IMAGE_LIMIT_MIB] = {"image_limit_mib", "20", .min = 1, .max = 100,
                                 .description = "MiB that the image of a prescription may have."},
    [SETTING_UPLOADS_OF_USER] = {"uploads_of_user", "16", .min = 1, .max = 1000,
                                 .description = "Images that one user may be sending at once."},
    [SETTING_UPLOAD_MINUTES] =
        {"upload_minutes", "5", .min = 1, .max = 60,
         .description = "Minutes after the last piece of an image at which an upload is given up."},
    [SETTING_ASSISTANTS_UPLOAD_IMAGES] =
        {"assistants_upload_images", "off", .choices = "on off",
         .description =
             "Whether assistants may send images of prescriptions, as doctors do: on or off."},
    [SETTING_AUDIT_IMAGES] =
        {"audit_images", "on", .choices = "on off",
         .description =
             "Whether who looks at the image of a prescription is in the audit log: on or off."},
    [SETTING_PUBLIC_URL] =
        {"public_url", "", .fault = address_base_fault,
         .description =
             "Where the clinic is reached from outside, as https://clinic.example; for links and for what far sides call back. Empty: not at all."},
    [SETTING_IMAGE_STORE] =
        {"image_store", "none", .choices = "none drive s3",
         .description =
             "Where images of prescriptions are stored besides here: none, drive or s3."},
    [SETTING_DRIVE_FOLDER] =
        {"drive_folder", "", .fault = address_word_fault,
         .description =
             "Id of the folder of Google Drive that images go to, shared with the service account; empty: the channel drive is off."},
    [SETTING_S3_ENDPOINT] =
        {"s3_endpoint", "", .fault = address_base_fault,
         .description = "Address of the S3-compatible store; empty: the channel s3 is off."},
    [SETTING_S3_REGION] = {"s3_region", "us-east-1", .fault = address_word_fault,
                           .description = "Region of the S3-compatible store."},
    [SETTING_S3_BUCKET] = {"s3_bucket", "", .fault = address_word_fault,
                           .description = "Bucket of the S3-compatible store."},
    [SETTING_S3_PREFIX] = {"s3_prefix", "", .fault = address_path_fault,
                           .description = "What the keys in the bucket begin with, as images/."},
    [SETTING_SMS_ACCOUNT] =
        {"sms_account", "", .fault = address_word_fault,
         .description = "Twilio's account, AC and 32 digits; empty: the channel sms is off."},
    [SETTING_SMS_FROM] =
        {"sms_from", "", .fault = address_sender_fault,
         .description =
             "The number that SMS come from, as +14155550100, or a messaging service, as MG and 32 digits."},
    [SETTING_EMAIL_SERVER] =
        {"email_server", "", .fault = address_mail_server_fault,
         .description =
             "Where e-mail is handed over, as smtp://mail.example:587 or smtps://mail.example; empty: the channel email is off."},
    [SETTING_EMAIL_TLS] =
        {"email_tls", "required", .choices = "required off",
         .description =
             "Whether smtp:// has to be upgraded to TLS (STARTTLS) before anything is said: required or off."},
    [SETTING_EMAIL_FROM] = {"email_from", "", .fault = address_email_fault,
                            .description = "The address that e-mail comes from."},
    [SETTING_EMAIL_USER] = {"email_user", "", .fault = address_word_fault,
                            .description = "Who logs in to the mail server; empty: nobody does."},
    [SETTING_OUTBOX_RATES] =
        {"outbox_rates", "20", .fault = outbox_rates_fault,
         .description =
             "Deliveries a second: one number for all channels, and others for some behind it, as in 20,sms=1,s3=50."},
    [SETTING_OUTBOX_LEASE_SECONDS] =
        {"outbox_lease_seconds", "120", .min = 5, .max = 3600,
         .description =
             "Seconds that a deliverer has for an attempt before another one may try; long ones are prolonged while they go on."},
    [SETTING_OUTBOX_DEAD_HOURS] = {"outbox_dead_hours", "72", .min = 1, .max = 8760,
                                   .description = "Hours after which a delivery is given up."},
    [SETTING_OUTBOX_KEEP_DAYS] =
        {"outbox_keep_days", "30", .min = 1, .max = 3650,
         .description =
             "Days that a delivery is kept after it was done or given up; those of images are kept as long as the image."},
    [SETTING_NEAR_PLACES] =
        {"near_places", "3", .min = 1, .max = 50,
         .description =
             "Place in the queue from which on a patient who asked for it is told that the turn is near."},
    [SETTING_DAILY_SUMMARY] =
        {"daily_summary", "off", .choices = "on off",
         .description =
             "Whether administrators with an e-mail address get a summary of each day once it is over: on or off."},
    [SETTING_PASSWORD_RESET_URL] =
        {"password_reset_url", "", .fault = password_reset_url_fault,
         .description =
             "The page on which users who have forgotten their password set a new one, up to where the token is put behind it, as https://clinic.example/new-password#token=; empty: no such links are sent."},
};

QUERY(settings_all, "SELECT name, value FROM clinicq.setting");
QUERY(setting_change,
      "INSERT INTO clinicq.setting (name, value) VALUES ($1, $2)"
      " ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()"
      " WHERE setting.value <> excluded.value",
      TEXTOID, TEXTOID);

static char *values[SETTING_COUNT];
static uint64 values_at = 0;

static int setting_find(const char *name) {
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strcmp(rules[i].name, name) == 0)
            return i;
    return -1;
}

static void settings_load(void) {
    uint64 generation = cache_fill_begin();
    uint64 rows = query_read(&settings_all, NULL, NULL);

    for (int i = 0; i < SETTING_COUNT; i++) {
        const char *value = rules[i].default_value;

        for (uint64 row = 0; row < rows; row++)
            if (strcmp(row_text(row, 1), rules[i].name) == 0)
                value = row_text(row, 2);
        if (values[i] == NULL || strcmp(values[i], value) != 0) {
            char *copy = MemoryContextStrdup(TopMemoryContext, value);

            if (values[i] != NULL)
                pfree(values[i]);
            values[i] = copy;
        }
    }
    cache_fill_end(generation);
    values_at = generation;
}

const char *setting_text(Setting setting) {
    if (values_at != cache_generation)
        settings_load();
    return values[setting];
}

int setting_int(Setting setting) {
    return (int) strtol(setting_text(setting), NULL, 10); /* set_setting() checked it */
}

/* Reads "60" (role: 0) or "admin=30"; false where it is neither. Changes the item. */
static bool read_role_number(char *item, uint32 *role, long *number) {
    char *equals = strchr(item, '=');
    char *digits = equals ? equals + 1 : item;
    size_t length = strlen(digits);

    *role = 0;
    if (equals != NULL) {
        *equals = '\0';
        *role = role_bit(item);
    }
    *number = strtol(digits, NULL, 10);
    return (equals == NULL || *role != 0) && length >= 1 && length <= 9 &&
           strspn(digits, "0123456789") == length;
}

int setting_int_of_roles(Setting setting, uint32 roles) {
    char *rest = pstrdup(setting_text(setting));
    long all = 0;
    long smallest = LONG_MAX;
    uint32 named = 0;

    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        uint32 role;
        long number;

        read_role_number(item, &role, &number); /* set_setting() checked it */
        named |= role;
        if (role == 0)
            all = number;
        else if (role & roles)
            smallest = Min(smallest, number);
    }
    return (int) ((roles & ~named) != 0 || roles == 0 ? Min(smallest, all) : smallest);
}

bool setting_is(Setting setting, const char *value) {
    return strcmp(setting_text(setting), value) == 0;
}

static bool is_choice(const char *choices, const char *value) {
    size_t length = strlen(value);

    for (const char *at = choices; length > 0 && (at = strstr(at, value)) != NULL; at++)
        if ((at == choices || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

/* One number for all roles comes first; each role at most once behind it. */
static bool is_by_role(const SettingRule *rule, const char *value) {
    char *rest = pstrdup(value);
    uint32 named = 0;
    bool first = true;

    for (char *item; (item = strsep(&rest, ",")) != NULL; first = false) {
        uint32 role;
        long number;

        if (!read_role_number(item, &role, &number) || number < rule->min || number > rule->max ||
            (role == 0) != first || (named & role) != 0)
            return false;
        named |= role;
    }
    return true;
}

static void setting_check(const SettingRule *rule, const char *value) {
    const char *fault = NULL;

    if (rule->fault != NULL)
        fault = rule->fault(value);
    else if (rule->choices != NULL) {
        if (strchr(value, ' ') != NULL || !is_choice(rule->choices, value))
            fault = psprintf("must be one of: %s", rule->choices);
    } else if (rule->by_role) {
        if (!is_by_role(rule, value))
            fault = psprintf("must be a whole number from %d to %d, or such numbers by role",
                             rule->min, rule->max);
    } else {
        char *end;
        long number = strtol(value, &end, 10);

        if (*value < '0' || *value > '9' || *end != '\0' || strlen(value) > 9 ||
            number < rule->min || number > rule->max)
            fault = psprintf("must be a whole number from %d to %d", rule->min, rule->max);
    }
    if (fault != NULL)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s %s", rule->name, fault),
                errhint("%s", rule->description));
}

static const SettingRule *setting_rule(FunctionCallInfo fcinfo) {
    int found;

    ARG_REQUIRE(0, "name");
    found = setting_find(ARG_CSTRING(0));
    if (found < 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("no such setting: %s", ARG_CSTRING(0)),
                errhint("SELECT * FROM clinicq.settings() lists them."));
    return &rules[found];
}

Datum clinicq_setting(PG_FUNCTION_ARGS) {
    const SettingRule *rule;

    actor_require(ROLES_ALL);
    rule = setting_rule(fcinfo);
    PG_RETURN_TEXT_P(cstring_to_text(setting_text((Setting) (rule - rules))));
}

Datum clinicq_set_setting(PG_FUNCTION_ARGS) {
    const SettingRule *rule;
    Datum args[2];

    actor_require(ROLE_ADMIN);
    rule = setting_rule(fcinfo);
    ARG_REQUIRE(1, "value");
    setting_check(rule, ARG_CSTRING(1));
    args[0] = CStringGetTextDatum(rule->name);
    args[1] = PG_GETARG_DATUM(1);
    SPI_connect();
    query_write(&setting_change, args, NULL);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_settings(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    bool nulls[3] = {false};

    InitMaterializedSRF(fcinfo, 0);
    for (int i = 0; i < SETTING_COUNT; i++) {
        Datum columns[3] = {CStringGetTextDatum(rules[i].name),
                            CStringGetTextDatum(rules[i].default_value),
                            CStringGetTextDatum(rules[i].description)};

        tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
    }
    return (Datum) 0;
}
