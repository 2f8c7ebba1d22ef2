#include "lines.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENT_HEAD "{\"position\":"
#define LEAF_HEAD  ",\"leaf\":\""
#define LEAF_TAIL  "\""
#define PERSONAL   ",\"personal\":"
#define TEXT_HEAD  ",\"event\":"
#define ID_HEAD    "{\"id\":"
#define AT_HEAD    ",\"at\":\""
#define SALT       16
#define SEAL_HEAD  "{\"seal\":"
#define SEAL_TAIL  "},\"hash\":\""

bool hex_parse(unsigned char *bytes, size_t count, const char *hex) {
    const char *end;
    size_t length;

    return hex != NULL && strlen(hex) >= 2 * count &&
           sodium_hex2bin(bytes, count, hex, 2 * count, NULL, &length, &end) == 0 &&
           length == count;
}

/* Decimal digits without sign or leading zero, up to 2^63 - 1; moves past them. */
static bool number_parse(uint64_t *value, const char **at) {
    const char *from = *at;

    *value = 0;
    while (**at >= '0' && **at <= '9') {
        if (*value > (INT64_MAX - 9) / 10)
            return false;
        *value = *value * 10 + (uint64_t) (*(*at)++ - '0');
    }
    return *at > from && (*from != '0' || *at == from + 1);
}

static bool skip(const char **at, const char *text) {
    size_t length = strlen(text);

    if (strncmp(*at, text, length) != 0)
        return false;
    *at += length;
    return true;
}

/* Moves behind a JSON object; whether it is one is seen where it is read. */
static bool skip_object(const char **at) {
    unsigned depth = 0;
    bool in_text = false;

    for (; **at != '\0'; (*at)++) {
        if (in_text && **at == '\\' && (*at)[1] != '\0')
            (*at)++;
        else if (**at == '"')
            in_text = !in_text;
        else if (!in_text && **at == '{')
            depth++;
        else if (!in_text && **at == '}' && (depth == 0 || --depth == 0))
            return ++*at, true;
    }
    return false;
}

bool event_parse(struct event *event, const char *line, size_t length) {
    const char *at = line;

    if (!skip(&at, EVENT_HEAD) || !number_parse(&event->position, &at) || !skip(&at, LEAF_HEAD) ||
        !hex_parse(event->leaf.bytes, MERKLE_HASH, at))
        return false;
    at += 2 * MERKLE_HASH;
    if (!skip(&at, LEAF_TAIL))
        return false;
    event->personal = NULL;
    if (skip(&at, PERSONAL)) {
        event->personal = at;
        if (*at != '{' || !skip_object(&at))
            return false;
        event->personal_length = (size_t) (at - event->personal);
    }
    if (!skip(&at, TEXT_HEAD) || line[length - 1] != '}')
        return false;
    event->text = at;
    event->text_length = length - 1 - (size_t) (at - line);
    if (event->text_length == 4 && memcmp(at, "null", 4) == 0)
        event->text = NULL;
    else if (*at != '{')
        return false;
    return true;
}

static int64_t time_parse(const char *text) {
    struct tm time = {0};

    return strptime(text, "%Y-%m-%dT%H:%M:%S.", &time) != NULL ? (int64_t) timegm(&time)
                                                               : INT64_MIN;
}

bool event_made(const struct event *event, uint64_t *id, int64_t *at) {
    const char *from = event->text;

    if (!skip(&from, ID_HEAD) || !number_parse(id, &from) || !skip(&from, AT_HEAD))
        return false;
    *at = time_parse(from);
    return true;
}

static struct json_object *member(struct json_object *object, const char *name,
                                  enum json_type type) {
    struct json_object *value;

    return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, type)
               ? value
               : NULL;
}

static bool member_number(struct json_object *object, const char *name, uint64_t *value) {
    struct json_object *found = member(object, name, json_type_int);
    int64_t number = found != NULL ? json_object_get_int64(found) : -1;

    *value = (uint64_t) number;
    return number >= 0;
}

static bool member_hex(struct json_object *object, const char *name, unsigned char *bytes,
                       size_t count) {
    struct json_object *found = member(object, name, json_type_string);

    return found != NULL && (size_t) json_object_get_string_len(found) == 2 * count &&
           hex_parse(bytes, count, json_object_get_string(found));
}

static struct json_object *parse_part(const char *text, size_t length) {
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *parsed = NULL;

    if (tokener != NULL && length <= INT_MAX)
        parsed = json_tokener_parse_ex(tokener, text, (int) length);
    json_tokener_free(tokener);
    return parsed;
}

/* {"salt", "value"} is what the event's {"erasable": hash} was made of. */
static bool value_fits(struct json_object *held, struct json_object *sealed) {
    unsigned char salt[SALT], hash[crypto_hash_sha256_BYTES], wanted[crypto_hash_sha256_BYTES];
    struct json_object *value = member(held, "value", json_type_string);
    crypto_hash_sha256_state state;

    if (value == NULL || !member_hex(held, "salt", salt, sizeof(salt)) || sealed == NULL ||
        !json_object_is_type(sealed, json_type_object) ||
        !member_hex(sealed, "erasable", wanted, sizeof(wanted)))
        return false;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, salt, sizeof(salt));
    crypto_hash_sha256_update(&state, (const unsigned char *) json_object_get_string(value),
                              (size_t) json_object_get_string_len(value));
    crypto_hash_sha256_final(&state, hash);
    return memcmp(hash, wanted, sizeof(hash)) == 0;
}

/* Each value held, in a column's "old" and "new" or alone. */
static bool values_fit(struct json_object *held, struct json_object *sealed) {
    bool fit = sealed != NULL && json_object_is_type(sealed, json_type_object);
    struct json_object *part;

    if (json_object_object_get_ex(held, "salt", &part))
        return value_fits(held, sealed);
    json_object_object_foreach (held, name, inner) {
        part = NULL;
        fit = fit && json_object_is_type(inner, json_type_object) &&
              json_object_object_get_ex(sealed, name, &part) && values_fit(inner, part);
    }
    return fit;
}

bool personal_fits(const struct event *event) {
    struct json_object *held = parse_part(event->personal, event->personal_length);
    struct json_object *sealed = parse_part(event->text, event->text_length);
    bool fit = held != NULL && sealed != NULL && json_object_is_type(held, json_type_object) &&
               values_fit(held, member(sealed, "changes", json_type_object));

    json_object_put(held);
    json_object_put(sealed);
    return fit;
}

void seven_years_before(char limit[INSTANT + 1], const char *at) {
    long year = strtol(at, NULL, 10) - 7;

    memcpy(limit, at, strlen(at) + 1);
    for (int digit = 3; *at != '\0' && digit >= 0; digit--, year /= 10)
        limit[digit] = (char) ('0' + year % 10);
    if (*at != '\0' && strncmp(limit + 5, "02-29", 5) == 0)
        limit[9] = '8'; /* no leap year is seven years after another */
}

/* A time as "2018-02-01T00:00:00Z", or with a fraction, before the limit to the second. */
static bool is_before(struct json_object *to, const char *limit) {
    return to != NULL && json_object_get_string_len(to) > 19 && *limit != '\0' &&
           strncmp(json_object_get_string(to), limit, 19) <= 0;
}

bool removal_parse(const struct event *event, const char *limit, uint64_t *first, uint64_t *last) {
    static const char mark[] = "\"action\":\"RETENTION\"";
    struct json_object *sealed, *changes, *action;
    bool found;

    if (memmem(event->text, event->text_length, mark, sizeof(mark) - 1) == NULL)
        return false;
    sealed = parse_part(event->text, event->text_length);
    action = sealed != NULL ? member(sealed, "action", json_type_string) : NULL;
    changes = sealed != NULL ? member(sealed, "changes", json_type_object) : NULL;
    found = action != NULL && strcmp(json_object_get_string(action), "RETENTION") == 0 &&
            changes != NULL && is_before(member(changes, "to", json_type_string), limit) &&
            member_number(changes, "first", first) && member_number(changes, "last", last) &&
            *first <= *last && *last < event->position;
    json_object_put(sealed);
    return found;
}

/* Exactly an instant, since these are compared as texts. */
static bool member_instant(struct json_object *object, const char *name, char at[INSTANT + 1]) {
    static const char form[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    struct json_object *found = member(object, name, json_type_string);
    const char *text = found != NULL ? json_object_get_string(found) : "";

    if (strlen(text) != INSTANT)
        return false;
    for (int i = 0; i < INSTANT; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    memcpy(at, text, INSTANT + 1);
    return strncmp(at, "0007", 4) >= 0;
}

static bool seal_fill(struct seal *seal, struct json_object *line) {
    struct json_object *body = member(line, "seal", json_type_object);
    bool good;

    if (body == NULL)
        return false;
    good = member_number(body, "number", &seal->number) &&
           member_number(body, "size", &seal->size) &&
           member_number(body, "previous_size", &seal->previous_size) &&
           member_hex(body, "root", seal->root.bytes, MERKLE_HASH) &&
           member_hex(body, "previous", seal->previous.bytes, MERKLE_HASH) &&
           member_instant(body, "at", seal->instant) &&
           member_hex(line, "hash", seal->hash.bytes, MERKLE_HASH);
    seal->at = time_parse(seal->instant);
    seal->is_signed = member(body, "key", json_type_string) != NULL;
    return good && (!seal->is_signed ||
                    (member_hex(body, "key", seal->key, sizeof(seal->key)) &&
                     member_hex(line, "signature", seal->signature, sizeof(seal->signature))));
}

bool seal_parse(struct seal *seal, const char *line, size_t length) {
    const char *tail = strstr(line, SEAL_TAIL);
    struct json_object *parsed;
    bool good;

    memset(seal, 0, sizeof(*seal));
    if (strncmp(line, SEAL_HEAD, strlen(SEAL_HEAD)) != 0 || tail == NULL || strlen(line) != length)
        return false;
    seal->text = line + strlen(SEAL_HEAD);
    seal->text_length = (size_t) (tail + 1 - seal->text);
    parsed = json_tokener_parse(line);
    good = parsed != NULL && seal_fill(seal, parsed);
    json_object_put(parsed);
    return good;
}

bool peaks_parse(MerkleTree *tree, const char *line) {
    const char *at = line;
    bool first = true;

    memset(tree, 0, sizeof(*tree));
    if (!skip(&at, EVENT_HEAD) || !number_parse(&tree->size, &at) || !skip(&at, ",\"peaks\":["))
        return false;
    for (int level = MERKLE_LEVELS - 1; level >= 0; level--) {
        if (!(tree->size >> level & 1))
            continue;
        if (!skip(&at, first ? "\"" : ",\"") ||
            !hex_parse(tree->peaks[level].bytes, MERKLE_HASH, at))
            return false;
        at += 2 * MERKLE_HASH;
        if (!skip(&at, "\""))
            return false;
        first = false;
    }
    return strcmp(at, "]}") == 0;
}
