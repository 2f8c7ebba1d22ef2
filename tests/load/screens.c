/*
 * Many screens: readers of Server-Sent Events that note when each event came. Opens them, prints
 * `ready` once each has its snapshot, and reads until standard input has lines `VISIT
 * MICROSECONDS`: when the one event of that visit was committed, by the clock of this machine.
 * Behind these it prints counts and delays as KEY=VALUE lines. Usage: screens [--tls] COUNT TOKEN
 * PORT PATH...
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 4096
#define EVENTS    256
#define VISIT     "\"visit\":{\"id\":"
#define DATA      "data: {\"position\":"

enum state { HEAD, CHUNK_SIZE, CHUNK, CHUNK_END };

struct screen {
    int fd;
    gnutls_session_t tls;
    enum state state;
    size_t chunk; /* bytes left of it */
    bool begun;
    long position;
    size_t len;
    char line[LINE_SIZE]; /* what exceeds it is a snapshot's, and dropped */
};

static struct {
    struct screen *screens;
    unsigned count, begun, closed;
    unsigned long disorder;
    int epoll;
    uint32_t *visits; /* what came, and when */
    int64_t *times;
    size_t notes, room;
} all;

static void fail(const char *what) {
    fprintf(stderr, "screens: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void) {
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void note(struct screen *s, int64_t now) {
    const char *visit = strstr(s->line, VISIT);
    long position = strtol(s->line + strlen(DATA), NULL, 10);

    if (visit == NULL)
        return;
    all.disorder += position <= s->position;
    s->position = position;
    if (all.notes == all.room) {
        all.room = all.room == 0 ? 1 << 20 : all.room * 2;
        all.visits = realloc(all.visits, all.room * sizeof(*all.visits));
        all.times = realloc(all.times, all.room * sizeof(*all.times));
        if (all.visits == NULL || all.times == NULL)
            fail("memory");
    }
    all.visits[all.notes] = (uint32_t) strtoul(visit + strlen(VISIT), NULL, 10);
    all.times[all.notes++] = now;
}

static void end_line(struct screen *s, int64_t now) {
    s->line[s->len] = '\0';
    s->len = 0;
    if (s->state == HEAD) {
        if (strncmp(s->line, "HTTP/1.1 ", 9) == 0 && strncmp(s->line + 9, "200", 3) != 0) {
            fprintf(stderr, "screens: %s\n", s->line);
            exit(1);
        }
        if (s->line[0] == '\0')
            s->state = CHUNK_SIZE;
    } else if (strcmp(s->line, "event: snapshot") == 0 && !s->begun) {
        s->begun = true;
        all.begun++;
    } else if (strncmp(s->line, DATA, strlen(DATA)) == 0) {
        note(s, now);
    }
}

/* Takes a line, or as much of it as there is; returns how many bytes. */
static size_t take_text(struct screen *s, const char *bytes, size_t count, int64_t now) {
    const char *end = memchr(bytes, '\n', count);
    size_t len = end != NULL ? (size_t) (end - bytes) : count;
    size_t room = LINE_SIZE - 1 - s->len;

    memcpy(s->line + s->len, bytes, len < room ? len : room);
    s->len += len < room ? len : room;
    if (end == NULL)
        return len;
    if (s->len > 0 && s->line[s->len - 1] == '\r')
        s->len--;
    end_line(s, now);
    return len + 1;
}

static void take(struct screen *s, const char *bytes, size_t count, int64_t now) {
    while (count > 0) {
        size_t used = 1;

        if (s->state == HEAD) {
            used = take_text(s, bytes, count, now);
        } else if (s->state == CHUNK) {
            used = take_text(s, bytes, count < s->chunk ? count : s->chunk, now);
            s->chunk -= used;
            if (s->chunk == 0)
                s->state = CHUNK_END;
        } else if (*bytes == '\n') {
            s->state = s->state == CHUNK_END ? CHUNK_SIZE : s->chunk > 0 ? CHUNK : CHUNK_END;
        } else if (*bytes != '\r' && s->state == CHUNK_SIZE) {
            s->chunk =
                s->chunk * 16 + (size_t) (*bytes <= '9' ? *bytes - '0' : (*bytes | 32) - 'a' + 10);
        }
        bytes += used;
        count -= used;
    }
}

static ssize_t receive(struct screen *s, char *bytes, size_t size) {
    ssize_t got =
        s->tls != NULL ? gnutls_record_recv(s->tls, bytes, size) : read(s->fd, bytes, size);

    if (s->tls != NULL)
        return got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED ? -1 : got < 0 ? 0 : got;
    return got < 0 && errno != EAGAIN ? 0 : got;
}

static void ready(struct screen *s) {
    char bytes[65536];
    ssize_t got;

    while ((got = receive(s, bytes, sizeof(bytes))) > 0) {
        take(s, bytes, (size_t) got, now_us());
        if (s->tls == NULL && got < (ssize_t) sizeof(bytes))
            return;
    }
    if (got == 0) {
        all.closed++;
        epoll_ctl(all.epoll, EPOLL_CTL_DEL, s->fd, NULL);
        close(s->fd);
    }
}

static void shake_hands(struct screen *s) {
    static gnutls_certificate_credentials_t credentials;
    int result;

    if (credentials == NULL)
        gnutls_certificate_allocate_credentials(&credentials);
    gnutls_init(&s->tls, GNUTLS_CLIENT);
    gnutls_set_default_priority(s->tls);
    gnutls_credentials_set(s->tls, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(s->tls, s->fd);
    do
        result = gnutls_handshake(s->tls);
    while (result < 0 && !gnutls_error_is_fatal(result));
    if (result < 0) {
        fprintf(stderr, "screens: %s\n", gnutls_strerror(result));
        exit(1);
    }
}

static void open_screen(struct screen *s, int port, const char *path, const char *token, bool tls) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t) port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event watch = {.events = EPOLLIN, .data.ptr = s};
    char request[512];
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token %s\r\n"
                       "Accept: text/event-stream\r\n\r\n",
                       path, token);

    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->fd < 0 || connect(s->fd, (const void *) &to, sizeof(to)) != 0)
        fail("connect");
    if (tls)
        shake_hands(s);
    if ((tls ? gnutls_record_send(s->tls, request, (size_t) len)
             : write(s->fd, request, (size_t) len)) != len)
        fail("send");
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(all.epoll, EPOLL_CTL_ADD, s->fd, &watch) != 0)
        fail("epoll");
}

/* Serves for a while; true once there is something to read on standard input. */
static bool turn(int wait_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(all.epoll, events, EVENTS, wait_ms);
    bool told = false;

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL)
            told = true;
        else
            ready(events[i].data.ptr);
    }
    return told;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

    return (x > y) - (x < y);
}

static double ms(const int64_t *delays, size_t count, double part) {
    size_t at = (size_t) (part * (double) count);

    return count == 0 ? 0 : (double) delays[at < count ? at : count - 1] / 1000;
}

/* The delays of all that came of visits whose commit is told. */
static void report(void) {
    static int64_t commits[1 << 22];
    int64_t *delays = malloc((all.notes + 1) * sizeof(*delays));
    unsigned long visit;
    long long at;
    size_t count = 0;

    while (scanf("%lu %lld", &visit, &at) == 2)
        if (visit < sizeof(commits) / sizeof(commits[0]))
            commits[visit] = at;
    for (size_t i = 0; i < all.notes; i++)
        if (commits[all.visits[i]] != 0)
            delays[count++] = all.times[i] - commits[all.visits[i]];
    qsort(delays, count, sizeof(*delays), by_value);
    printf("screens=%u\nclosed=%u\nreceived=%zu\ndisorder=%lu\n", all.count, all.closed, count,
           all.disorder);
    printf("p50=%.2f\np90=%.2f\np99=%.2f\np999=%.2f\nmax=%.2f\n", ms(delays, count, 0.5),
           ms(delays, count, 0.9), ms(delays, count, 0.99), ms(delays, count, 0.999),
           ms(delays, count, 1));
    free(delays);
}

int main(int argc, char **argv) {
    bool tls = argc > 1 && strcmp(argv[1], "--tls") == 0;
    char **rest = argv + 1 + tls;
    int paths = argc - 4 - tls;
    struct epoll_event input = {.events = EPOLLIN};
    struct rlimit files = {65536, 65536};

    if (paths < 1) {
        fprintf(stderr, "usage: screens [--tls] COUNT TOKEN PORT PATH...\n");
        return 2;
    }
    setrlimit(RLIMIT_NOFILE, &files);
    all.count = (unsigned) atoi(rest[0]);
    all.screens = calloc(all.count, sizeof(*all.screens));
    all.epoll = epoll_create1(0);
    if (all.screens == NULL || all.epoll < 0)
        fail("start");
    for (unsigned i = 0; i < all.count; i++) {
        open_screen(&all.screens[i], atoi(rest[2]), rest[3 + i % (unsigned) paths], rest[1], tls);
        while (all.begun + 32 < i)
            turn(10);
    }
    while (all.begun < all.count)
        turn(100);
    puts("ready");
    fflush(stdout);
    if (epoll_ctl(all.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0)
        fail("epoll");
    while (!turn(1000))
        ;
    report();
    return 0;
}
