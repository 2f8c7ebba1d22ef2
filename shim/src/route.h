/* The catalogue that the database gives: routes and problems. */
#ifndef CLINICQ_ROUTE_H
#define CLINICQ_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

enum call_class { CALL_READ, CALL_WRITE, CALL_SLOW };
#define CALL_CLASSES 3

enum method { GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, METHOD_OTHER };
#define METHODS 8

enum method method_parse(const char *text);
const char *method_name(enum method m);

/* Who signs the requests of a route. */
enum signature { SIGNATURE_NONE, SIGNATURE_TWILIO };

#define PATH_DEPTH_MAX 16

struct route {
    char *key;
    char *path;
    enum method method;
    enum call_class class;
    bool takes_fields;
    bool open;
    char *before; /* the key of the call that goes before, or NULL */
    char *intake; /* ... of the calls that take a file piece by piece, or NULL */
    enum signature signature;
    bool ranges; /* its query gets the headers Range and If-Range */
    size_t body_limit;
    char *lane; /* body field, or NULL */
};

/* A SQLSTATE as HTTP. */
struct problem {
    char sqlstate[6];
    unsigned status;
    char *type;
    char *title;
    bool reveal;
    bool audited; /* the refusal is to be told to the database, before the reply */
};

/* A place in the tree of path segments. */
struct path_node {
    char *literal; /* NULL for a parameter */
    struct path_node *sibling;
    struct path_node *children; /* literals before the parameter */
    const struct route *routes[METHODS];
    char *template; /* NULL where no route ends */
    char *allow;
    bool all_open;
};

struct catalogue {
    unsigned references;
    char *text; /* as received, to see a change */
    struct route *routes;
    size_t route_count;
    struct problem *problems;
    size_t problem_count;
    struct path_node *root;
};

/* NULL with a reason when the text is not a catalogue. The caller holds the first reference. */
struct catalogue *catalogue_parse(const char *text, const char **reason);
struct catalogue *catalogue_hold(struct catalogue *c);
void catalogue_drop(struct catalogue *c);
const struct problem *catalogue_problem(const struct catalogue *c, const char *sqlstate);

/* A raw (still encoded) segment of the request's path. */
struct segment {
    const char *at;
    size_t len;
};

struct match {
    const struct path_node *node; /* NULL: no such path */
    struct segment values[PATH_DEPTH_MAX];
    unsigned value_count;
};

/* Matches on the raw path, with or without a trailing slash; literals win over parameters. */
void route_match(const struct catalogue *c, const char *path, size_t len, struct match *m);

#endif
