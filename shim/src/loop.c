#include "loop.h"

#include "admin.h"
#include "catalogue.h"
#include "gauges.h"
#include "client.h"
#include "clock.h"
#include "config.h"
#include "events.h"
#include "feed.h"
#include "http.h"
#include "log.h"
#include "pool.h"
#include "tls.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
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
    const struct config *config;
    bool draining;
    bool forced; /* a second signal */
    int64_t drain_until;
    int64_t drain_limit;
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

bool loop_draining(void) {
    return loop.draining;
}

static void reload(void) {
    const struct config *c = loop.config;
    const char *fault = NULL;

    log_reopen();
    if (c->tls_certificate[0] != '\0')
        fault = tls_load(c->tls_certificate, c->tls_key);
    if (fault != NULL)
        log_event(LOG_ERROR, "SIGHUP: %s; the certificate of before stays", fault);
    else
        log_event(LOG_INFO, "SIGHUP: log file and certificate were opened again");
}

static void on_signal(struct loop_source *source, uint32_t events) {
    struct signalfd_siginfo info;

    (void) source;
    (void) events;
    if (read(loop.signals, &info, sizeof(info)) != (ssize_t) sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP) {
        reload();
        return;
    }
    if (loop.draining) {
        loop.forced = true;
        return;
    }
    log_event(LOG_INFO, "%s: finishing %u client connections",
              info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM", client_count());
    loop.draining = true;
    loop.drain_until = clock_us() + loop.drain_limit;
    http_quiesce();
    client_drain();
    events_end_all();
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

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Milliseconds that nothing needs to be done in, rounded up so that no turn is idle. */
static int time_to_wait(bool log_held) {
    int64_t now, next;

    if (http_pending() || admin_pending())
        return 0;
    now = clock_us();
    next = earlier(now + (log_held ? LOG_RETRY : TURN_MAX), pool_next());
    next = earlier(next, client_next());
    next = earlier(next, catalogue_next());
    next = earlier(next, gauges_next());
    next = earlier(next, feed_next());
    next = earlier(next, events_next());
    if (loop.draining)
        next = earlier(next, loop.drain_until);
    return next <= now ? 0 : (int) ((next - now + 999) / 1000);
}

static bool finished(void) {
    return loop.draining && (client_count() == 0 || loop.forced || clock_us() >= loop.drain_until);
}

void loop_run(const struct config *c) {
    struct epoll_event events[EVENTS];

    loop.config = c;
    loop.drain_limit = MS(c->drain_timeout_ms);
    while (!finished()) {
        int64_t now = clock_us();
        int count;

        pool_tick(now);
        client_tick(now);
        catalogue_tick(now);
        gauges_tick(now);
        feed_tick(now);
        events_tick(now);
        http_run();
        admin_run();
        pool_dispatch();
        count = epoll_wait(loop.epoll, events, EVENTS, time_to_wait(log_flush()));
        for (int i = 0; i < count; i++) {
            struct loop_source *source = events[i].data.ptr;

            source->ready(source, events[i].events);
        }
    }
}

void loop_close(void) {
    /* what still waits is answered, then sent as far as the sockets take it */
    pool_close();
    events_end_all();
    for (unsigned i = 0; i < 3; i++)
        http_run();
    if (client_count() > 0)
        log_event(LOG_WARNING, "%u client connections were cut", client_count());
    http_close();
    admin_close();
    close(loop.signals);
    close(loop.epoll);
}
