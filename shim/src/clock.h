#ifndef CLINICQ_CLOCK_H
#define CLINICQ_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER INT64_MAX
#define MS(n)       ((int64_t) (n) *1000)

/* Monotonic time in microseconds. */
static inline int64_t clock_us(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#endif
