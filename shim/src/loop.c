#include "loop.h"

#include "clock.h"
#include "log.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS 64
/* The library's time-outs on the admin port and a stderr that nobody read are looked at this often.
 */
#define TURN_MAX  MS(1000)
#define LOG_RETRY MS(50)

static struct {
    int epoll;
    int signals;
    struct loop_source signal_source;
    const struct loop_service *service;
    bool draining;
    bool forced; /* a second signal */
    int64_t drain_until;
    int64_t drain_limit;
    struct epoll_event events[EVENTS]; /* of this turn */
    int count;
} loop = {.epoll = -1, .signals = -1};

void loop_watch(struct loop_source *source, int fd, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = source};

    if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, &e) != 0 &&
        (errno != EEXIST || epoll_ctl(loop.epoll, EPOLL_CTL_MOD, fd, &e) != 0))
        log_fatal("epoll_ctl failed");
}

void loop_forget(int fd) {
    epoll_ctl(loop.epoll, EPOLL_CTL_DEL, fd, NULL);
}

void loop_drop(struct loop_source *source, int fd) {
    loop_forget(fd);
    for (int i = 0; i < loop.count; i++)
        if (loop.events[i].data.ptr == source)
            loop.events[i].data.ptr = NULL;
}

bool loop_draining(void) {
    return loop.draining;
}

static void on_signal(struct loop_source *source, uint32_t events) {
    struct signalfd_siginfo info;

    (void) source;
    (void) events;
    if (read(loop.signals, &info, sizeof(info)) != (ssize_t) sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP) {
        log_reopen();
        loop.service->reload();
        return;
    }
    if (loop.draining) {
        loop.forced = true;
        return;
    }
    log_event(LOG_INFO, "%s: finishing what is under way",
              info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    loop.draining = true;
    loop.drain_until = clock_us() + loop.drain_limit;
    loop.service->drain();
}

void loop_open(void) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (loop.epoll < 0 || loop.signals < 0)
        log_fatal("the event loop cannot be made");
    loop.signal_source.ready = on_signal;
    loop_watch(&loop.signal_source, loop.signals, EPOLLIN);
}

/* Milliseconds that nothing needs to be done in, rounded up so that no turn is idle. */
static int time_to_wait(bool log_held) {
    int64_t next = loop.service->next();
    int64_t now;

    if (next == 0)
        return 0;
    now = clock_us();
    next = loop_earlier(next, now + (log_held ? LOG_RETRY : TURN_MAX));
    if (loop.draining)
        next = loop_earlier(next, loop.drain_until);
    return next <= now ? 0 : (int) ((next - now + 999) / 1000);
}

static bool finished(void) {
    return loop.draining &&
           (loop.service->drained() || loop.forced || clock_us() >= loop.drain_until);
}

void loop_run(const struct loop_service *service, unsigned drain_limit_ms) {
    loop.service = service;
    loop.drain_limit = MS(drain_limit_ms);
    while (!finished()) {
        service->turn(clock_us());
        loop.count = epoll_wait(loop.epoll, loop.events, EVENTS, time_to_wait(log_flush()));
        for (int i = 0; i < loop.count; i++) {
            struct loop_source *source = loop.events[i].data.ptr;

            if (source != NULL)
                source->ready(source, loop.events[i].events);
        }
        loop.count = 0;
    }
}

void loop_close(void) {
    close(loop.signals);
    close(loop.epoll);
}
