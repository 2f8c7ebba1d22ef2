/* E-mail, handed over by SMTP. It has no way to ask what became of a message: where the line is
 * lost behind its last byte and before the reply, the server may have it, and it is sent again.
 * Both then have one Message-ID, by which servers and readers tell a second one; not all of them
 * look. */
#include "channel.h"

#include "config.h"
#include "mail.h"
#include "secret.h"
#include "transfer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT_ONCE 4
#define SECONDS 60

/* The last command that was sent. */
enum step {
    STEP_GREETING, /* none yet */
    STEP_HELLO,
    STEP_STARTTLS,
    STEP_HELLO_TLS,
    STEP_LOGIN,
    STEP_SENDER,
    STEP_RECIPIENT,
    STEP_DATA,
    STEP_MESSAGE, /* the server waits for the message, or has it */
};

struct email {
    struct transfer *transfer;
    struct curl_slist *recipients;
    struct buffer message;
    size_t sent;
    bool implicit_tls;
    enum step step;
    unsigned reply; /* to that step, 0: none yet */
};

static char *password; /* NULL: none */
static struct {
    char *url; /* with the name that we greet by as its path */
    char *from;
    char *user;
    bool tls;
} set;

static const char *email_open(const struct config *c) {
    const char *fault = NULL;
    char *read = NULL;

    if (c->smtp_password[0] != '\0' || c->smtp_password_file[0] != '\0') {
        read = secret_read(c->smtp_password, c->smtp_password_file, &fault);
        if (read == NULL)
            return fault;
    }
    secret_free(password);
    password = read;
    return NULL;
}

static void set_free(void) {
    free(set.url);
    free(set.from);
    free(set.user);
    memset(&set, 0, sizeof(set));
}

static void email_close(void) {
    set_free();
    secret_free(password);
    password = NULL;
}

static const char *login_fault(void) {
    if (set.user[0] == '\0')
        return NULL;
    if (!set.tls)
        return "email_user is set and email_tls is off: a password is not sent without TLS";
    if (password == NULL)
        return "email_user is set, and neither CLINICQ_SMTP_PASSWORD nor CLINICQ_SMTP_PASSWORD_FILE";
    return NULL;
}

static const char *email_configure(struct json_object *settings) {
    const char *server = member_text(settings, "server");
    const char *from = member_text(settings, "from");
    bool implicit = strncmp(server, "smtps://", 8) == 0;
    struct buffer url = {0};

    set_free();
    if (!implicit && strncmp(server, "smtp://", 7) != 0)
        return "email_server is no smtp:// or smtps:// address";
    if (strpbrk(strstr(server, "//") + 2, "/@?#") != NULL)
        return "email_server has more than a host and a port";
    if (!mail_address(from))
        return "email_from is no address of e-mail";
    set.tls = implicit || strcmp(member_text(settings, "tls"), "off") != 0;
    set.user = memory_text(member_text(settings, "user"));
    set.from = memory_text(from);
    buffer_format(&url, "%s/%s", server, mail_domain(from));
    set.url = url.data;
    return login_fault();
}

/* NULL where it is no text, or one with a NUL. */
static const char *text_of(struct json_object *value) {
    const char *text;

    if (!json_object_is_type(value, json_type_string))
        return NULL;
    text = json_object_get_string(value);
    return strlen(text) == (size_t) json_object_get_string_len(value) ? text : NULL;
}

/* One recipient, or a list of them. */
static const char *take_recipients(struct mail *m, struct json_object *to) {
    bool list = json_object_is_type(to, json_type_array);
    size_t count = list ? json_object_array_length(to) : 1;

    if (count > MAIL_RECIPIENTS)
        return "it has more than 50 recipients";
    for (size_t i = 0; i < count; i++) {
        m->to[i] = text_of(list ? json_object_array_get_idx(to, i) : to);
        if (m->to[i] == NULL)
            return "a recipient is no text";
    }
    m->to_count = count;
    return NULL;
}

static const char *write_message(struct email *e, const struct delivery *d) {
    struct mail m = {
        .from = set.from,
        .subject = text_of(json_object_object_get(d->work, "subject")),
        .body = text_of(json_object_object_get(d->work, "body")),
        .id = d->token,
        .at = time(NULL),
    };
    const char *fault = take_recipients(&m, json_object_object_get(d->work, "to"));

    if (fault == NULL && (m.subject == NULL || m.body == NULL))
        fault = "subject or body is no text";
    if (fault == NULL)
        fault = mail_write(&e->message, &m);
    for (size_t i = 0; fault == NULL && i < m.to_count; i++) {
        struct curl_slist *longer = curl_slist_append(e->recipients, m.to[i]);

        if (longer == NULL)
            log_fatal("out of memory");
        e->recipients = longer;
    }
    return fault;
}

static size_t read_message(void *arg, char *out, size_t room) {
    struct email *e = arg;
    size_t len = e->message.len - e->sent;

    if (len > room)
        len = room;
    memcpy(out, e->message.data + e->sent, len);
    e->sent += len;
    return len;
}

static bool begins(const char *line, size_t len, const char *with) {
    return len >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

/* What follows AUTH, a line of base64, belongs to the same step. */
static void command_sent(struct email *e, const char *line, size_t len) {
    if (begins(line, len, "QUIT"))
        return;
    if (begins(line, len, "EHLO ") || begins(line, len, "HELO "))
        e->step = e->step < STEP_STARTTLS ? STEP_HELLO : STEP_HELLO_TLS;
    else if (begins(line, len, "STARTTLS"))
        e->step = STEP_STARTTLS;
    else if (begins(line, len, "AUTH "))
        e->step = STEP_LOGIN;
    else if (begins(line, len, "MAIL FROM:"))
        e->step = STEP_SENDER;
    else if (begins(line, len, "RCPT TO:"))
        e->step = STEP_RECIPIENT;
    else if (begins(line, len, "DATA"))
        e->step = STEP_DATA;
    e->reply = 0;
}

/* The last line of a reply has a blank behind its code. */
static void reply_line(struct email *e, const char *line, size_t len) {
    unsigned code = 0;

    if (len < 4 || line[3] == '-')
        return;
    for (size_t i = 0; i < 3; i++) {
        if (line[i] < '0' || line[i] > '9')
            return;
        code = code * 10 + (unsigned) (line[i] - '0');
    }
    e->reply = code;
    if (e->step == STEP_DATA && e->reply == 354) {
        e->step = STEP_MESSAGE;
        e->reply = 0;
    }
}

/* libcurl tells the code of the last reply, but not to what it was one. */
static int follow(CURL *easy, curl_infotype type, char *data, size_t len, void *arg) {
    (void) easy;
    if (type == CURLINFO_HEADER_OUT)
        command_sent(arg, data, len);
    else if (type == CURLINFO_HEADER_IN)
        reply_line(arg, data, len);
    return 0;
}

static const char *step_name(enum step step) {
    static const char *const names[] = {
        [STEP_GREETING] = "the connection", [STEP_HELLO] = "EHLO",
        [STEP_STARTTLS] = "STARTTLS",       [STEP_HELLO_TLS] = "EHLO",
        [STEP_LOGIN] = "the log-in",        [STEP_SENDER] = "the sender",
        [STEP_RECIPIENT] = "a recipient",   [STEP_DATA] = "DATA",
        [STEP_MESSAGE] = "the message",
    };

    return names[step];
}

/* 4yz is for now, 5yz for good (RFC 5321, 4.2.1): of this message from the recipients on, before
 * them of us. */
static enum delivery_fault fault_of_reply(enum step step, unsigned reply) {
    if (reply < 500)
        return DELIVERY_AGAIN;
    if (reply == 530 || reply == 534 || reply == 535 || reply == 538)
        return DELIVERY_CHANNEL; /* log in first, or not so (RFC 4954, 6) */
    if (step == STEP_SENDER && reply == 552)
        return DELIVERY_NEVER; /* its size was told there (RFC 1870, 6) */
    return step < STEP_RECIPIENT ? DELIVERY_CHANNEL : DELIVERY_NEVER;
}

/* TLS was due and did not come about. */
static bool tls_failed(const struct email *e) {
    curl_off_t connected = 0, secured = 0;

    if (e->step == STEP_STARTTLS)
        return e->reply / 100 == 2;
    if (e->step != STEP_GREETING || !e->implicit_tls)
        return false;
    curl_easy_getinfo(transfer_easy(e->transfer), CURLINFO_CONNECT_TIME_T, &connected);
    curl_easy_getinfo(transfer_easy(e->transfer), CURLINFO_APPCONNECT_TIME_T, &secured);
    return connected > 0 && secured == 0;
}

static void email_failed(struct delivery *d, const char *why) {
    const struct email *e = d->state;

    if (e->reply >= 400)
        delivery_failed(d, fault_of_reply(e->step, e->reply), 0,
                        "the mail server answered %u to %s", e->reply, step_name(e->step));
    else if (e->step == STEP_HELLO && e->reply != 0 && !e->implicit_tls && set.tls)
        delivery_failed(d, DELIVERY_CHANNEL, 0,
                        "the mail server offers no STARTTLS, and email_tls is required");
    else if ((e->step == STEP_HELLO || e->step == STEP_HELLO_TLS) && e->reply != 0)
        delivery_failed(d, DELIVERY_CHANNEL, 0,
                        "the mail server offers no way to log in that is known here");
    else if (tls_failed(e))
        delivery_failed(d, DELIVERY_CHANNEL, 0, "no TLS with the mail server: %s", why);
    else if (e->step == STEP_MESSAGE && e->sent == e->message.len)
        delivery_failed(d, DELIVERY_AGAIN, 0,
                        "no reply of the mail server to the message, which it may have: %s", why);
    else
        delivery_failed(d, DELIVERY_AGAIN, 0, "the mail server, at %s: %s", step_name(e->step),
                        why);
}

static void email_answered(struct transfer *t, void *arg) {
    struct delivery *d = arg;
    const char *why = transfer_fault(t);
    struct json_object *result;
    struct buffer id = {0};

    if (why != NULL) {
        email_failed(d, why);
        return;
    }
    buffer_format(&id, "%s@%s", d->token, mail_domain(set.from));
    result = json_object_new_object();
    json_object_object_add(result, "message_id", json_object_new_string(id.data));
    buffer_free(&id);
    delivery_done(d, result);
}

static void email_send(struct delivery *d) {
    struct email *e = memory_zero(1, sizeof(*e));
    const char *fault;
    CURL *easy;

    d->state = e;
    fault = write_message(e, d);
    if (fault != NULL) {
        delivery_failed(d, DELIVERY_NEVER, 0, "%s", fault);
        return;
    }
    fault = login_fault();
    if (fault != NULL) {
        delivery_failed(d, DELIVERY_CHANNEL, 0, "%s", fault);
        return;
    }
    e->implicit_tls = strncmp(set.url, "smtps", 5) == 0;
    e->transfer = transfer_new(NULL, set.url);
    easy = transfer_easy(e->transfer);
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long) (set.tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (set.user[0] != '\0') {
        curl_easy_setopt(easy, CURLOPT_USERNAME, set.user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, password);
    }
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, set.from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, e->recipients);
    /* Servers close what is idle, and a message is not sent twice to find that out. */
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, follow);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, e);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    transfer_source(e->transfer, e->message.len, read_message, e);
    transfer_start(e->transfer, SECONDS, email_answered, d);
}

static void email_end(struct delivery *d) {
    struct email *e = d->state;

    if (e == NULL)
        return;
    if (e->transfer != NULL)
        transfer_free(e->transfer);
    curl_slist_free_all(e->recipients);
    buffer_free(&e->message);
    free(e);
    d->state = NULL;
}

const struct channel channel_email = {
    .name = "email",
    .at_once = AT_ONCE,
    .open = email_open,
    .configure = email_configure,
    .send = email_send,
    .end = email_end,
    .close = email_close,
};
