#include "contact.h"

#include "actor.h"
#include "address.h"
#include "error.h"
#include "fmgr.h"
#include "query.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_notify_visit);
PG_FUNCTION_INFO_V1(clinicq_forget_contact);

#define LANGUAGE_DEFAULT "en"

/* What the fields of a contact are called, for faults. */
typedef struct ContactNames {
    const char *channel, *address, *language;
} ContactNames;

static const ContactNames in_body = {"notify_by", "notify_to", "notify_language"};
static const ContactNames in_psql = {"channel", "address", "language"};

QUERY(languages_of,
      "SELECT string_agg(language, ', ' ORDER BY language), bool_or(language = $2)"
      " FROM clinicq.message_template WHERE purpose = 'turn_near' AND channel = $1",
      TEXTOID, TEXTOID);
QUERY(contact_visit, "SELECT status FROM clinicq.visit WHERE id = $1 FOR NO KEY UPDATE", INT8OID);
/* Another address is told anew that the turn is near; what is the same already stays. */
QUERY(
    contact_put,
    "INSERT INTO clinicq.visit_contact AS c (visit_id, service_day, channel, address, language, created_by_id, created_by)"
    " SELECT id, service_day, $2, $3, $4, nullif($5, 0), $6 FROM clinicq.visit WHERE id = $1"
    " ON CONFLICT (visit_id) DO UPDATE SET channel = excluded.channel, address = excluded.address,"
    "  language = excluded.language, consented_at = now(), created_by_id = excluded.created_by_id,"
    "  created_by = excluded.created_by,"
    "  near_at = CASE WHEN (c.channel, c.address) = (excluded.channel, excluded.address) THEN c.near_at END"
    " WHERE (c.channel, c.address, c.language) <> (excluded.channel, excluded.address, excluded.language)",
    INT8OID, TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID);
QUERY(contact_delete, "DELETE FROM clinicq.visit_contact WHERE visit_id = $1", INT8OID);
QUERY(contacts_delete,
      "DELETE FROM clinicq.visit_contact WHERE visit_id IN"
      " (SELECT id FROM clinicq.visit WHERE patient_id = $1)",
      INT8OID);

static void check_language(Faults *faults, const ContactNames *names, const Contact *contact) {
    Datum args[2] = {CStringGetTextDatum(channel_name(contact->channel)),
                     CStringGetTextDatum(contact->language)};

    query_read(&languages_of, args, NULL);
    if (row_isnull(0, 2) || !row_bool(0, 2))
        faults_add(faults, names->language, "must be one of: %s",
                   row_isnull(0, 1) ? "none, for there are no texts" : row_text(0, 1));
}

/* A number is kept without the spaces and dashes that people write it with. */
static char *plain_address(Channel channel, const char *given) {
    char *plain = trim_blanks(given);
    char *to = plain;

    if (channel == CHANNEL_SMS) {
        for (const char *at = plain; *at != '\0'; at++)
            if (*at != ' ' && *at != '-')
                *to++ = *at;
        *to = '\0';
    }
    return plain;
}

static void check_address(Faults *faults, const ContactNames *names, Contact *contact) {
    const char *fault;

    contact->address = plain_address(contact->channel, contact->address);
    fault = *contact->address == '\0'         ? "must not be blank"
            : contact->channel == CHANNEL_SMS ? address_number_fault(contact->address)
                                              : address_email_fault(contact->address);
    if (fault != NULL)
        faults_add(faults, names->address, "%s", fault);
}

/* contact: with address and language as they were given. */
static void check(Faults *faults, const ContactNames *names, const char *channel,
                  Contact *contact) {
    if (!channel_find(channel, &contact->channel) ||
        (contact->channel != CHANNEL_SMS && contact->channel != CHANNEL_EMAIL)) {
        faults_add(faults, names->channel, "must be sms or email");
        return;
    }
    if (!channel_is_on(contact->channel))
        faults_add(faults, names->channel, "%s is not set up here: nothing could be sent by it",
                   channel);
    if (contact->address != NULL)
        check_address(faults, names, contact);
    if (contact->language != NULL)
        check_language(faults, names, contact);
}

/* A text that was given, or else a fault. */
static void require(Faults *faults, const char *name, FieldState state) {
    if (state == FIELD_ABSENT)
        faults_add(faults, name, "is required");
    if (state == FIELD_NULL)
        faults_add(faults, name, "must not be null");
}

void contact_read(Fields *fields, Contact *contact) {
    char *channel;
    char *address;
    char *language;
    bool consent = field_flag(fields, "notify_consent"); /* also the text of a form */
    FieldState by = field_text(fields, "notify_by", &channel);
    FieldState to = field_text(fields, "notify_to", &address);
    FieldState in = field_text(fields, "notify_language", &language);
    FieldState consents = consent ? FIELD_VALUE : field_bool(fields, "notify_consent", &consent);

    if (by == FIELD_ABSENT &&
        (to != FIELD_ABSENT || in != FIELD_ABSENT || consents != FIELD_ABSENT)) {
        faults_add(fields->faults, in_body.channel, "is required: sms, email, or null for neither");
        by = FIELD_BAD;
    }
    *contact = (Contact){.state = by,
                         .address = address,
                         .language = in == FIELD_ABSENT ? LANGUAGE_DEFAULT : language};
    if (by != FIELD_VALUE)
        return;
    require(fields->faults, in_body.address, to);
    if (in == FIELD_NULL)
        require(fields->faults, in_body.language, in);
    if (consents != FIELD_BAD && !consent)
        faults_add(fields->faults, "notify_consent",
                   "must be true: only who agreed to it may be told");
    check(fields->faults, &in_body, channel, contact);
}

static void put(int64 visit_id, const Contact *contact) {
    const Actor *actor = actor_current();
    Datum args[6] = {Int64GetDatum(visit_id),
                     CStringGetTextDatum(channel_name(contact->channel)),
                     CStringGetTextDatum(contact->address),
                     CStringGetTextDatum(contact->language),
                     Int64GetDatum(actor->user_id),
                     CStringGetTextDatum(actor->name)};

    if (query_write(&contact_visit, args, NULL) == 0)
        error_not_found("visit", psprintf(INT64_FORMAT, visit_id));
    if (!visit_is_open(row_text(0, 1)))
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the visit is %s: there is nothing to tell any more", row_text(0, 1)),
                errhint("Messages are about visits that go on."));
    query_write(&contact_put, args, NULL);
}

static void forget(int64 visit_id) {
    Datum args[1] = {Int64GetDatum(visit_id)};

    query_write(&contact_delete, args, NULL);
}

void contact_apply(int64 visit_id, const Contact *contact) {
    if (contact->state == FIELD_VALUE)
        put(visit_id, contact);
    else if (contact->state == FIELD_NULL)
        forget(visit_id);
}

void contacts_erase(int64 patient_id) {
    Datum args[1] = {Int64GetDatum(patient_id)};

    query_write(&contacts_delete, args, NULL);
}

Datum clinicq_notify_visit(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    Contact contact = {.state = FIELD_VALUE};

    actor_require(ROLES_CARE);
    ARG_REQUIRE(0, "visit");
    ARG_REQUIRE(1, "channel");
    ARG_REQUIRE(2, "address");
    contact.address = ARG_CSTRING(2);
    contact.language = PG_ARGISNULL(3) ? LANGUAGE_DEFAULT : ARG_CSTRING(3);
    SPI_connect();
    check(faults, &in_psql, ARG_CSTRING(1), &contact);
    faults_raise(faults);
    contact_apply(PG_GETARG_INT64(0), &contact);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_forget_contact(PG_FUNCTION_ARGS) {
    actor_require(ROLES_CARE);
    ARG_REQUIRE(0, "visit");
    SPI_connect();
    visit_read(PG_GETARG_INT64(0));
    forget(PG_GETARG_INT64(0));
    SPI_finish();
    PG_RETURN_VOID();
}
