/* Lanes: writes with one value of their route's lane field wait for each other in the database, so
 * only some of the connections may serve one lane at a time. */
#ifndef CLINICQ_LANE_H
#define CLINICQ_LANE_H

#include <stddef.h>

struct lane {
    struct lane *next;
    unsigned references; /* calls that hold it */
    unsigned active;     /* of these, in flight */
    size_t len;
    char name[];
};

/* The lane of a field's value in a JSON body, or NULL when it has none that can be told. The body
 * is only looked at for this hint: the database parses it. */
struct lane *lane_of_body(const char *field, const char *body, size_t len);
void lane_drop(struct lane *l);

#endif
