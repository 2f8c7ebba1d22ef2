#include "channel_drive_refusal.h"

#include "transfer.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define REASON_MAX 40

/* error.errors[0].reason of the answer: a word. "" where there is none. */
static void copy_reason(const struct transfer *t, char out[REASON_MAX + 1]) {
    struct json_object *reply = transfer_json(t);
    struct json_object *error, *errors;
    const char *reason = "";
    size_t len = 0;

    if (json_object_object_get_ex(reply, "error", &error) &&
        json_object_is_type(error, json_type_object) &&
        json_object_object_get_ex(error, "errors", &errors) &&
        json_object_is_type(errors, json_type_array) && json_object_array_length(errors) > 0 &&
        json_object_is_type(json_object_array_get_idx(errors, 0), json_type_object))
        reason = member_text(json_object_array_get_idx(errors, 0), "reason");
    while (len < REASON_MAX && isalnum((unsigned char) reason[len]))
        len++;
    memcpy(out, reason, len);
    out[len] = '\0';
    json_object_put(reply);
}

static bool is_one_of(const char *reason, const char *const *list) {
    for (; *list != NULL; list++)
        if (strcmp(reason, *list) == 0)
            return true;
    return false;
}

struct drive_refusal drive_refusal(const struct transfer *t, bool folder) {
    static const char *const too_fast[] = {"rateLimitExceeded", "userRateLimitExceeded",
                                           "dailyLimitExceeded", "quotaExceeded", NULL};
    static const char *const full[] = {"storageQuotaExceeded", "teamDriveFileLimitExceeded",
                                       "teamDriveHierarchyTooDeep", NULL};
    unsigned status = transfer_status(t);
    struct drive_refusal r = {.fault = DELIVERY_NEVER, .retry_after = transfer_retry_after(t)};
    char reason[REASON_MAX + 1];
    const char *advice = "";

    if (transfer_fault(t) != NULL) {
        r.fault = DELIVERY_AGAIN;
        snprintf(r.text, sizeof(r.text), "no answer from Drive: %s", transfer_fault(t));
        return r;
    }
    copy_reason(t, reason);
    if (status == 429 || status >= 500 || (status == 403 && is_one_of(reason, too_fast))) {
        r.fault = DELIVERY_AGAIN;
    } else if (status == 401) {
        r.fault = DELIVERY_CHANNEL;
        advice = ": it refuses a new access token as well";
    } else if (status == 403 && is_one_of(reason, full)) {
        r.fault = DELIVERY_CHANNEL;
        advice =
            ": no room is left for the account; a folder of a shared drive has room of its own";
    } else if (status == 403 && strcmp(reason, "accessNotConfigured") == 0) {
        r.fault = DELIVERY_CHANNEL;
        advice = ": the account's project has not enabled the Drive API";
    } else if (folder && (status == 403 || status == 404)) {
        r.fault = DELIVERY_CHANNEL;
        advice =
            ": is the folder there, and shared with the service account, as one who may write?";
    } else if (status == 403) {
        advice =
            ": the service account has no right to; in a shared drive, deleting takes a manager";
    }
    snprintf(r.text, sizeof(r.text), "Drive answered %u%s%s%s", status,
             reason[0] != '\0' ? " " : "", reason, advice);
    return r;
}
