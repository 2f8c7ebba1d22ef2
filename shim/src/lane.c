#include "lane.h"

#include "memory.h"

#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS   256
#define VALUE_MAX 64

static struct lane *buckets[BUCKETS];

static struct lane **bucket(const char *name, size_t len) {
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char) name[i]) * 16777619u;
    return &buckets[hash % BUCKETS];
}

static struct lane *lane_hold(const char *field, const char *value, size_t value_len) {
    size_t field_len = strlen(field) + 1;
    size_t len = field_len + value_len;
    char *name = memory_alloc(len);
    struct lane **head;
    struct lane *l;

    memcpy(name, field, field_len);
    memcpy(name + field_len, value, value_len);
    head = bucket(name, len);
    for (l = *head; l != NULL; l = l->next)
        if (l->len == len && memcmp(l->name, name, len) == 0)
            break;
    if (l == NULL) {
        l = memory_zero(1, sizeof(*l) + len);
        l->len = len;
        memcpy(l->name, name, len);
        l->next = *head;
        *head = l;
    }
    free(name);
    l->references++;
    return l;
}

struct lane *lane_of_body(const char *field, const char *body, size_t len) {
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *json = json_tokener_parse_ex(tokener, body, (int) len);
    struct json_object *member = NULL;
    struct lane *l = NULL;

    if (json != NULL && json_object_is_type(json, json_type_object) &&
        json_object_object_get_ex(json, field, &member) &&
        (json_object_is_type(member, json_type_int) ||
         json_object_is_type(member, json_type_string))) {
        const char *value = json_object_get_string(member);
        size_t value_len;

        value += strspn(value, " \t\r\n");
        value_len = strlen(value);
        while (value_len > 0 && strchr(" \t\r\n", value[value_len - 1]) != NULL)
            value_len--;
        if (value_len > 0 && value_len <= VALUE_MAX)
            l = lane_hold(field, value, value_len);
    }
    json_object_put(json);
    json_tokener_free(tokener);
    return l;
}

void lane_drop(struct lane *l) {
    struct lane **at;

    if (l == NULL || --l->references > 0)
        return;
    for (at = bucket(l->name, l->len); *at != l; at = &(*at)->next)
        ;
    *at = l->next;
    free(l);
}
