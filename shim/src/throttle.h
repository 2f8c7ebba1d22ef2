/* How fast a channel may send, and whether it may at all: a bucket of tokens, and a breaker that
 * opens when attempts fail in a row, lets one through after a pause, and doubles the pause if that
 * fails too. */
#ifndef CLINICQ_THROTTLE_H
#define CLINICQ_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

struct throttle {
    double rate; /* a second */
    double tokens;
    int64_t filled_at;
    bool breaks;        /* whether it has a breaker */
    unsigned failures;  /* in a row */
    int64_t open_until; /* 0: closed */
    int64_t pause;
    bool probing;
};

void throttle_open(struct throttle *t, bool breaks);
void throttle_rate(struct throttle *t, double rate);
/* How many of so many may begin now, and that they do. */
unsigned throttle_allows(struct throttle *t, int64_t now, unsigned wanted);
void throttle_began(struct throttle *t, unsigned count);
void throttle_succeeded(struct throttle *t);
/* at_once: the far side takes nothing from us, so another attempt is of no use for a while. True
 * when the breaker opens by it. */
bool throttle_failed(struct throttle *t, int64_t now, bool at_once);
/* Nothing was learned of the far side. */
void throttle_passed(struct throttle *t);
bool throttle_is_open(const struct throttle *t);

#endif
