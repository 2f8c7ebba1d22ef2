/* The one event loop. Everything runs in its thread. */
#ifndef CLINICQ_LOOP_H
#define CLINICQ_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* Embedded in whatever waits for a file descriptor. */
struct loop_source {
    void (*ready)(struct loop_source *source, uint32_t events);
};

/* What a process does in the loop. */
struct loop_service {
    void (*turn)(int64_t now); /* once a turn, before it waits */
    int64_t (*next)(void);     /* when there has to be another turn; 0: at once */
    void (*reload)(void);      /* SIGHUP; the log file was opened again */
    void (*drain)(void);       /* SIGTERM, SIGINT: take up nothing new */
    bool (*drained)(void);     /* nothing is under way any more */
};

void loop_open(void);
/* Watches fd for EPOLLIN, EPOLLOUT; called again it changes the events. */
void loop_watch(struct loop_source *source, int fd, uint32_t events);
void loop_forget(int fd);
/* And what this turn still has for source, which may be freed then. */
void loop_drop(struct loop_source *source, int fd);
/* Serves until a signal has come and what was under way is done, or drain_limit_ms have passed. */
void loop_run(const struct loop_service *service, unsigned drain_limit_ms);
bool loop_draining(void);
void loop_close(void);

static inline int64_t loop_earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

#endif
