/* The one event loop. Everything runs in its thread. */
#ifndef CLINICQ_LOOP_H
#define CLINICQ_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* Embedded in whatever waits for a file descriptor. */
struct loop_source {
    void (*ready)(struct loop_source *source, uint32_t events);
};

struct config;

void loop_open(void);
/* Watches fd for EPOLLIN, EPOLLOUT; called again it changes the events. */
void loop_watch(struct loop_source *source, int fd, uint32_t events);
void loop_forget(int fd);
/* Serves until a signal has come and the requests under way are done. */
void loop_run(const struct config *c);
bool loop_draining(void);
void loop_close(void);

#endif
