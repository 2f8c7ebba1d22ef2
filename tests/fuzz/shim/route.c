/* Routes on raw paths, and percent-decoding: a match is the one that comparing with every route
 * gives, and its segments put back into its template are the path that came. */
#include "harness.h"

#include "query.h"

#include <stdlib.h>
#include <string.h>

/* The parts of a path between its slashes, a trailing one aside; 0 for a path that has none, or an
 * empty one, or too many. */
static unsigned split(const char *path, size_t len, struct segment *parts) {
    unsigned count = 0;

    if (len == 0 || path[0] != '/')
        return 0;
    if (path[len - 1] == '/')
        len--;
    for (size_t at = 0; at < len;) {
        const char *start = path + ++at;

        while (at < len && path[at] != '/')
            at++;
        if (path + at == start || count == PATH_DEPTH_MAX)
            return 0;
        parts[count++] = (struct segment){start, (size_t) (path + at - start)};
    }
    return count;
}

static bool is_parameter(const struct segment *s) {
    return s->at[0] == '{';
}

/* -1: differs; else how literal it is, the first segments weighing most. */
static long fit(const char *template, const struct segment *path, unsigned count) {
    struct segment parts[PATH_DEPTH_MAX];
    long weight = 0;

    if (split(template, strlen(template), parts) != count)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        bool literal = !is_parameter(&parts[i]);

        if (literal &&
            (parts[i].len != path[i].len || memcmp(parts[i].at, path[i].at, path[i].len) != 0))
            return -1;
        weight = weight * 2 + literal;
    }
    return weight;
}

static void check_decoding(const struct segment *s) {
    static const char digits[] = "0123456789abcdefABCDEF";
    char *decoded = malloc(s->len);
    char *encoded = malloc(3 * s->len);
    char *again = malloc(3 * s->len);
    size_t len = percent_decode(decoded, s->at, s->len, false);

    PROPERTY(decoded != NULL && encoded != NULL && again != NULL && len <= s->len);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) decoded[i];

        encoded[3 * i] = '%';
        encoded[3 * i + 1] = digits[c >> 4];
        encoded[3 * i + 2] = digits[(c & 15) < 10 ? c & 15 : (c & 15) + 6];
    }
    PROPERTY(percent_decode(again, encoded, 3 * len, true) == len &&
             memcmp(again, decoded, len) == 0);
    free(decoded);
    free(encoded);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct catalogue *c = harness_catalogue();
    char *path = malloc(size);
    struct segment parts[PATH_DEPTH_MAX];
    const char *best = NULL;
    long weight = -1;
    struct match m;
    unsigned count, used = 0;

    PROPERTY(path != NULL);
    memcpy(path, data, size);
    route_match(c, path, size, &m);
    count = split(path, size, parts);
    for (size_t i = 0; count > 0 && i < c->route_count; i++) {
        long w = fit(c->routes[i].path, parts, count);

        if (w > weight) {
            weight = w;
            best = c->routes[i].path;
        }
    }
    PROPERTY((m.node != NULL) == (best != NULL));
    if (m.node != NULL) {
        struct segment template[PATH_DEPTH_MAX];

        PROPERTY(strcmp(m.node->template, best) == 0);
        PROPERTY(split(best, strlen(best), template) == count);
        for (unsigned i = 0; i < count; i++) {
            if (!is_parameter(&template[i]))
                continue;
            PROPERTY(used < m.value_count);
            PROPERTY(m.values[used].at == parts[i].at && m.values[used].len == parts[i].len);
            check_decoding(&m.values[used++]);
        }
        PROPERTY(used == m.value_count);
    }
    free(path);
    return 0;
}
