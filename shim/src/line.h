/* The channels at work: how each is set up, how much it may begin, what became of it. */
#ifndef CLINICQ_LINE_H
#define CLINICQ_LINE_H

#include "channel.h"
#include "memory.h"
#include "throttle.h"

struct line {
    const struct channel *channel;
    struct throttle throttle;
    const char *missing; /* NULL: ready */
    const char *refused; /* what open() said */
    char *settings;      /* as they were last */
    bool on;
    unsigned under_way;
    uint64_t done, failed, dead;
};

#define LINE_COUNT 5
extern struct line lines[LINE_COUNT];

struct line *line_of(const struct channel *channel);
/* NULL where there is none of the name. */
struct line *line_named(const char *name);

void lines_open(const struct config *c);
/* Reads what the environment says anew; lines_configure() has to follow. */
void lines_read(const struct config *c);
/* Takes clinicq_api.delivery_settings(). */
void lines_configure(struct json_object *settings);
void lines_write_metrics(struct buffer *out);
void lines_close(void);

/* For clinicq-shim check: calls say() for each channel with what is missing, NULL where it is
 * ready; on: whether the settings in the database, of clinicq_api.delivery_settings(), set it up.
 */
void lines_check(const struct config *c, const char *settings,
                 void (*say)(void *arg, const char *channel, int on, const char *missing),
                 void *arg);

#endif
