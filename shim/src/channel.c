#include "channel.h"

const char *member_text(struct json_object *object, const char *name) {
    struct json_object *value;

    return json_object_object_get_ex(object, name, &value) &&
                   json_object_is_type(value, json_type_string)
               ? json_object_get_string(value)
               : "";
}

int64_t member_number(struct json_object *object, const char *name) {
    struct json_object *value;

    return json_object_object_get_ex(object, name, &value) ? json_object_get_int64(value) : 0;
}

struct json_object *object_parse(const char *text) {
    struct json_object *object = json_tokener_parse(text); /* the database wrote it */

    if (!json_object_is_type(object, json_type_object)) {
        json_object_put(object);
        return NULL;
    }
    return object;
}
