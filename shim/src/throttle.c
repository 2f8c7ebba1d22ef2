#include "throttle.h"

#include "clock.h"

#include <stddef.h>

#define FAILURES_MAX 5
#define PAUSE_FIRST  MS(10000)
#define PAUSE_MAX    MS(300000)

void throttle_open(struct throttle *t, bool breaks) {
    *t = (struct throttle){.rate = 1, .breaks = breaks};
}

void throttle_rate(struct throttle *t, double rate) {
    t->rate = rate;
}

static void fill(struct throttle *t, int64_t now) {
    if (t->filled_at == 0)
        t->tokens = t->rate;
    else
        t->tokens += (double) (now - t->filled_at) / 1e6 * t->rate;
    if (t->tokens > t->rate)
        t->tokens = t->rate;
    t->filled_at = now;
}

unsigned throttle_allows(struct throttle *t, int64_t now, unsigned wanted) {
    if (t->open_until != 0) {
        if (now < t->open_until || t->probing)
            return 0;
        return wanted > 0;
    }
    fill(t, now);
    return (double) wanted < t->tokens ? wanted : (unsigned) t->tokens;
}

void throttle_began(struct throttle *t, unsigned count) {
    t->tokens = t->tokens > (double) count ? t->tokens - (double) count : 0;
    t->probing = t->open_until != 0 && count > 0;
}

void throttle_succeeded(struct throttle *t) {
    t->failures = 0;
    t->open_until = 0;
    t->pause = 0;
    t->probing = false;
}

bool throttle_failed(struct throttle *t, int64_t now, bool at_once) {
    bool was_open = t->open_until != 0;

    if (!t->breaks || (was_open && !t->probing))
        return false; /* begun before it opened */
    t->failures++;
    if (!at_once && !was_open && t->failures < FAILURES_MAX)
        return false;
    t->pause = t->pause == 0 ? PAUSE_FIRST : t->pause * 2;
    if (t->pause > PAUSE_MAX)
        t->pause = PAUSE_MAX;
    t->open_until = now + t->pause;
    t->probing = false;
    return true;
}

void throttle_passed(struct throttle *t) {
    t->probing = false;
}

bool throttle_is_open(const struct throttle *t) {
    return t->open_until != 0;
}
