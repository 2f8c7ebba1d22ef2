/* The lane of a body: equal values share one, however they are written, and it ends with its last
 * call. */
#include "harness.h"

#include "lane.h"

#include <stdlib.h>
#include <string.h>

static struct lane *lane_of(const char *before, const char *value, size_t len, const char *after) {
    struct buffer body = {0};
    struct lane *l;

    buffer_text(&body, before);
    buffer_json(&body, value, len);
    buffer_text(&body, after);
    l = lane_of_body("queue", body.data, body.len);
    buffer_free(&body);
    return l;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {(const char *) data, size};
    size_t len;
    char *body = take_rest(&in, &len);
    struct lane *l = lane_of_body("queue", body, len);

    if (l != NULL) {
        const char *value = l->name + sizeof("queue");
        size_t value_len = l->len - sizeof("queue");
        struct lane *same, *other;

        PROPERTY(l->references == 1 && l->active == 0);
        PROPERTY(strcmp(l->name, "queue") == 0 && value_len > 0 && value_len <= 64);
        PROPERTY(strchr(" \t\r\n", value[0]) == NULL);
        PROPERTY(strchr(" \t\r\n", value[value_len - 1]) == NULL);
        if (judge_text(value, value_len)) {
            same = lane_of("{\"queue\":\"else\", \"queue\" : ", value, value_len, "}");
            PROPERTY(same == l && l->references == 2);
            lane_drop(same);
        }
        other = lane_of("{\"queue\":", "another lane", 12, "}");
        PROPERTY(other != NULL &&
                 (other != l) == (value_len != 12 || memcmp(value, "another lane", 12) != 0));
        lane_drop(other);
        PROPERTY(l->references == 1);
        lane_drop(l);
    }
    free(body);
    return 0;
}
