/* Catalogues: a text is one or it is refused, and then each of its routes can be reached. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

/* The path with a value for each parameter. */
static char *path_of(const char *template) {
    struct buffer path = {0};

    for (const char *p = template; *p != '\0';) {
        size_t len = strcspn(++p, "/");

        buffer_char(&path, '/');
        if (len > 2 && p[0] == '{' && p[len - 1] == '}')
            buffer_text(&path, "a value");
        else
            buffer_add(&path, p, len);
        p += len;
    }
    return path.data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {(const char *) data, size};
    size_t len;
    char *text = take_rest(&in, &len);
    const char *reason;
    struct catalogue *c = catalogue_parse(text, &reason);

    PROPERTY((c == NULL) == (reason != NULL));
    for (size_t i = 0; c != NULL && i < c->route_count; i++) {
        char *path = path_of(c->routes[i].path);
        struct match m;

        route_match(c, path, strlen(path), &m);
        PROPERTY(strcmp(path, "/") == 0 || m.node != NULL);
        PROPERTY(m.node == NULL || (m.node->template != NULL && m.node->allow != NULL));
        free(path);
    }
    for (size_t i = 0; c != NULL && i < c->problem_count; i++) {
        const struct problem *p = &c->problems[i];

        PROPERTY(strnlen(p->sqlstate, sizeof(p->sqlstate)) == 5);
        PROPERTY(p->status >= 400 && p->status <= 599);
        PROPERTY(catalogue_problem(c, p->sqlstate) != NULL);
    }
    catalogue_drop(c);
    free(text);
    return 0;
}
