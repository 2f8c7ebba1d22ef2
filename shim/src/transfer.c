#include "transfer.h"

#include "clock.h"
#include "config.h"
#include "list.h"
#include "log.h"
#include "loop.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define REPLY_MAX       (64 * 1024)
#define CONNECT_SECONDS 10
#define RETRY_MAX       86400

struct transfer {
    CURL *easy;
    struct curl_slist *headers;
    struct buffer body; /* a copy, where the body is no source */
    size_t body_sent;
    size_t (*read)(void *arg, char *out, size_t room);
    void *read_arg;
    struct buffer reply;
    bool refused, too_large, under_way;
    bool http, https, is_signed;
    bool connects;     /* and does nothing else */
    const char *fault; /* NULL: a whole answer came */
    CURLcode code;
    void (*done)(struct transfer *t, void *arg);
    void *arg;
};

/* A socket of libcurl's. What the loop still has to tell of one that was closed goes to nobody. */
struct socket {
    struct loop_source source;
    struct socket *next; /* of those that were closed */
    curl_socket_t fd;
};

static struct {
    CURLM *multi;
    char *ca_file;
    int64_t at; /* when libcurl wants to be called */
    struct socket *closed;
} state = {.at = CLOCK_NEVER};

static void finish(CURL *easy, CURLcode code) {
    struct transfer *t = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &t);
    /* That would take the connection from a transfer that is nothing else. */
    if (!t->connects) {
        curl_multi_remove_handle(state.multi, easy);
        t->under_way = false;
    }
    t->code = code;
    t->fault = code == CURLE_OK ? NULL
               : t->refused     ? "plain HTTP is for this machine only"
               : t->too_large   ? "the answer is too large"
                                : curl_easy_strerror(code);
    t->done(t, t->arg);
}

static void take_finished(void) {
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(state.multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            finish(message->easy_handle, message->data.result);
}

static void act(curl_socket_t fd, int what) {
    int running;

    curl_multi_socket_action(state.multi, fd, what, &running);
    take_finished();
}

static void on_ready(struct loop_source *source, uint32_t events) {
    struct socket *s = list_item(source, struct socket, source);
    int what = ((events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0);

    if (s->fd != CURL_SOCKET_BAD)
        act(s->fd, what);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *own) {
    struct socket *s = own;

    (void) easy;
    (void) arg;
    if (what == CURL_POLL_REMOVE) {
        loop_forget(fd);
        if (s != NULL) {
            s->fd = CURL_SOCKET_BAD;
            s->next = state.closed;
            state.closed = s;
        }
        curl_multi_assign(state.multi, fd, NULL);
        return 0;
    }
    if (s == NULL) {
        s = memory_zero(1, sizeof(*s));
        s->fd = fd;
        s->source.ready = on_ready;
        curl_multi_assign(state.multi, fd, s);
    }
    loop_watch(&s->source, fd,
               ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) |
                   ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u));
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg) {
    (void) multi;
    (void) arg;
    state.at = ms < 0 ? CLOCK_NEVER : clock_us() + MS(ms);
    return 0;
}

static size_t on_reply(char *data, size_t size, size_t count, void *arg) {
    struct transfer *t = arg;
    size_t len = size * count;

    if (t->reply.len + len > REPLY_MAX) {
        t->too_large = true;
        return 0;
    }
    buffer_add(&t->reply, data, len);
    return len;
}

static size_t on_read(char *out, size_t size, size_t count, void *arg) {
    struct transfer *t = arg;

    return t->read(t->read_arg, out, size * count);
}

static size_t read_body(void *arg, char *out, size_t room) {
    struct transfer *t = arg;
    size_t left = t->body.len - t->body_sent;

    if (left < room)
        room = left;
    memcpy(out, t->body.data + t->body_sent, room);
    t->body_sent += room;
    return room;
}

static bool is_this_machine(const char *host) {
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(host, names[i]) == 0)
            return true;
    return false;
}

/* As libcurl will read the address: to it, what stands in front of an @ is no host. */
static void read_address(struct transfer *t, const char *url) {
    CURLU *parsed = curl_url();
    char *scheme = NULL, *host = NULL;

    if (parsed == NULL)
        log_fatal("out of memory");
    if (curl_url_set(parsed, CURLUPART_URL, url, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) ==
            CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        t->https = strcmp(scheme, "https") == 0;
        t->refused = strcmp(scheme, "http") == 0 && !is_this_machine(host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parsed);
}

struct transfer *transfer_new(const char *method, const char *url) {
    struct transfer *t = memory_zero(1, sizeof(*t));

    t->easy = curl_easy_init();
    if (t->easy == NULL)
        log_fatal("out of memory");
    t->http = method != NULL;
    read_address(t, url);
    curl_easy_setopt(t->easy, CURLOPT_URL, url);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, (void *) t);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR,
                     !t->http     ? "smtp,smtps"
                     : t->refused ? "https"
                                  : "http,https");
    /* A proxy of the environment's is only for what it cannot read. */
    if (!t->https)
        curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT, (long) CONNECT_SECONDS);
    /* A name that is not resolved by then is left to its thread, which the loop would wait for. */
    curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, (void *) t);
    if (state.ca_file[0] != '\0') {
        curl_easy_setopt(t->easy, CURLOPT_CAINFO, state.ca_file);
        curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL); /* the system's */
    }
    if (method != NULL) {
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
        curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "ClinicQ/" CLINICQ_VERSION);
        if (strcmp(method, "HEAD") == 0)
            curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    }
    /* Where a kept connection turns out dead libcurl sends the request again by itself, though the
     * far side may have done it. */
    if (method == NULL || strcmp(method, "POST") == 0)
        curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
    return t;
}

void transfer_free(struct transfer *t) {
    if (t == NULL)
        return;
    if (t->under_way)
        curl_multi_remove_handle(state.multi, t->easy);
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    buffer_free(&t->body);
    buffer_free(&t->reply);
    free(t);
}

CURL *transfer_easy(struct transfer *t) {
    return t->easy;
}

void transfer_header(struct transfer *t, const char *format, ...) {
    struct curl_slist *more;
    char *line = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&line, format, args) < 0)
        log_fatal("out of memory");
    va_end(args);
    more = curl_slist_append(t->headers, line);
    free(line);
    if (more == NULL)
        log_fatal("out of memory");
    t->headers = more;
}

void transfer_sign(struct transfer *t, const char *scheme, const char *user, const char *password) {
    t->is_signed = true;
    curl_easy_setopt(t->easy, CURLOPT_AWS_SIGV4, scheme);
    curl_easy_setopt(t->easy, CURLOPT_USERNAME, user);
    curl_easy_setopt(t->easy, CURLOPT_PASSWORD, password);
}

void transfer_source(struct transfer *t, uint64_t length,
                     size_t (*read)(void *arg, char *out, size_t room), void *arg) {
    t->read = read;
    t->read_arg = arg;
    curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) length);
    curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(t->easy, CURLOPT_READDATA, (void *) t);
}

void transfer_body(struct transfer *t, const char *data, size_t len) {
    buffer_add(&t->body, data, len);
    transfer_source(t, len, read_body, t);
}

void transfer_resume(struct transfer *t) {
    if (t->under_way)
        curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

/* libcurl calls back from the loop, never from inside transfer_start(). */
void transfer_start(struct transfer *t, unsigned seconds,
                    void (*done)(struct transfer *t, void *arg), void *arg) {
    t->done = done;
    t->arg = arg;
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT, (long) seconds);
    /* No 100 is waited for; but libcurl 7.88 would sign the header that it leaves out. */
    if (t->http && !t->is_signed)
        transfer_header(t, "Expect:");
    if (t->headers != NULL)
        curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    t->under_way = true;
    if (curl_multi_add_handle(state.multi, t->easy) != CURLM_OK)
        log_fatal("libcurl takes no transfer");
}

void transfer_connect(struct transfer *t, unsigned seconds,
                      void (*done)(struct transfer *t, void *arg), void *arg) {
    t->connects = true;
    curl_easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 1L);
    transfer_start(t, seconds, done, arg);
}

const char *transfer_fault(const struct transfer *t) {
    return t->fault;
}

bool transfer_insecure(const struct transfer *t) {
    switch (t->code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
        return true;
    default:
        return false;
    }
}

unsigned transfer_status(const struct transfer *t) {
    long status = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return (unsigned) status;
}

const struct buffer *transfer_reply(const struct transfer *t) {
    return &t->reply;
}

struct json_object *transfer_json(const struct transfer *t) {
    struct json_tokener *tokener = json_tokener_new_ex(16);
    struct json_object *object = NULL;

    if (tokener == NULL)
        log_fatal("out of memory");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    if (t->reply.len > 0)
        object = json_tokener_parse_ex(tokener, t->reply.data, (int) t->reply.len + 1);
    json_tokener_free(tokener);
    if (json_object_is_type(object, json_type_object))
        return object;
    json_object_put(object);
    return NULL;
}

const char *transfer_reply_header(const struct transfer *t, const char *name) {
    struct curl_header *header;

    return curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
               ? header->value
               : NULL;
}

unsigned transfer_retry_after(const struct transfer *t) {
    curl_off_t seconds = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
    return seconds < 0 ? 0 : seconds > RETRY_MAX ? RETRY_MAX : (unsigned) seconds;
}

static void free_closed(void) {
    while (state.closed != NULL) {
        struct socket *s = state.closed;

        state.closed = s->next;
        free(s);
    }
}

void transfers_open(const struct config *c) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || (state.multi = curl_multi_init()) == NULL)
        log_fatal("libcurl cannot be initialised");
    state.ca_file = memory_text(c->ca_file);
    curl_multi_setopt(state.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(state.multi, CURLMOPT_TIMERFUNCTION, on_timer);
}

void transfers_tick(int64_t now) {
    free_closed();
    if (now >= state.at) {
        state.at = CLOCK_NEVER;
        act(CURL_SOCKET_TIMEOUT, 0);
    }
}

int64_t transfers_next(void) {
    return state.at;
}

void transfers_close(void) {
    curl_multi_cleanup(state.multi);
    free_closed();
    free(state.ca_file);
    curl_global_cleanup();
}
