/* E-mail, handed to a mail server. There is no way to ask what became of a message: where the
 * connection is lost behind its last byte and before the reply, the server may have it, and it is
 * sent again. Both then have one Message-ID, by which servers and readers can tell a second one;
 * not all of them do. */
#include "channel.h"

#include "config.h"
#include "mail.h"
#include "secret.h"
#include "smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT_ONCE 4
#define SECONDS 60

static char *password; /* NULL: none */
static struct {
    char *url; /* with the name that we greet by as its path */
    char *from;
    char *user; /* "": nobody logs in */
    bool tls;
} set;

static const char *email_open(const struct config *c) {
    static char said[160];
    const char *fault = NULL;
    char *read = NULL;

    if (c->smtp_password[0] != '\0' || c->smtp_password_file[0] != '\0') {
        read = secret_read(c->smtp_password, c->smtp_password_file, &fault);
        if (read == NULL) {
            snprintf(said, sizeof(said), "CLINICQ_SMTP_PASSWORD_FILE: %s", fault);
            return said;
        }
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
        return "email_user is set, and neither CLINICQ_SMTP_PASSWORD nor "
               "CLINICQ_SMTP_PASSWORD_FILE";
    return NULL;
}

static const char *email_configure(struct json_object *settings) {
    const char *server = member_text(settings, "server");
    const char *from = member_text(settings, "from");
    bool implicit = strncmp(server, "smtps://", 8) == 0;
    struct buffer url = {0};

    if (!implicit && strncmp(server, "smtp://", 7) != 0)
        return "email_server is no smtp:// or smtps:// address";
    if (strpbrk(strstr(server, "//") + 2, "/@?#") != NULL)
        return "email_server has more than a host and a port";
    if (!mail_address(from))
        return "email_from is no address of e-mail";
    set_free();
    buffer_format(&url, "%s/%s", server, mail_domain(from));
    set.url = url.data;
    set.from = memory_text(from);
    set.user = memory_text(member_text(settings, "user"));
    set.tls = implicit || strcmp(member_text(settings, "tls"), "off") != 0;
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

/* 4yz is for now, 5yz for good (RFC 5321, 4.2.1): of this message from the recipients on, before
 * them of us. */
static enum delivery_fault fault_of_reply(enum smtp_step step, unsigned reply) {
    if (reply < 500)
        return DELIVERY_AGAIN;
    if (reply == 530 || reply == 534 || reply == 535 || reply == 538)
        return DELIVERY_CHANNEL; /* log in first, or not so (RFC 4954, 6) */
    return step < SMTP_RECIPIENT ? DELIVERY_CHANNEL : DELIVERY_NEVER;
}

static void email_failed(struct delivery *d, const struct smtp *s) {
    static const char *const names[] = {
        [SMTP_CONNECT] = "the connection", [SMTP_HELLO] = "EHLO",
        [SMTP_STARTTLS] = "STARTTLS",      [SMTP_HELLO_TLS] = "EHLO",
        [SMTP_LOGIN] = "the log-in",       [SMTP_SENDER] = "the sender",
        [SMTP_RECIPIENT] = "a recipient",  [SMTP_DATA] = "DATA",
        [SMTP_MESSAGE] = "the message",
    };
    enum smtp_step step = smtp_step(s);
    unsigned reply = smtp_reply(s);

    if (reply >= 400)
        delivery_failed(d, fault_of_reply(step, reply), 0, "the mail server answered %u to %s",
                        reply, names[step]);
    else if (step == SMTP_HELLO && smtp_insecure(s))
        delivery_failed(d, DELIVERY_CHANNEL, 0,
                        "the mail server offers no STARTTLS, and email_tls is required");
    else if (smtp_insecure(s))
        delivery_failed(d, DELIVERY_CHANNEL, 0, "no TLS with the mail server: %s", smtp_fault(s));
    else if (smtp_said_all(s))
        delivery_failed(d, DELIVERY_AGAIN, 0,
                        "no reply of the mail server to the message, which it may have: %s",
                        smtp_fault(s));
    else
        delivery_failed(d, DELIVERY_AGAIN, 0, "at %s: %s", names[step], smtp_fault(s));
}

static void email_answered(struct smtp *s, void *arg) {
    struct delivery *d = arg;
    struct json_object *result;
    struct buffer id = {0};

    if (smtp_fault(s) != NULL) {
        email_failed(d, s);
        return;
    }
    buffer_format(&id, "%s@%s", d->token, mail_domain(set.from));
    result = json_object_new_object();
    json_object_object_add(result, "message_id", json_object_new_string(id.data));
    buffer_free(&id);
    delivery_done(d, result);
}

static const char *write_message(struct mail *m, struct buffer *message, struct delivery *d) {
    const char *fault = take_recipients(m, json_object_object_get(d->work, "to"));

    m->subject = text_of(json_object_object_get(d->work, "subject"));
    m->body = text_of(json_object_object_get(d->work, "body"));
    if (fault == NULL && (m->subject == NULL || m->body == NULL))
        fault = "subject or body is no text";
    return fault != NULL ? fault : mail_write(message, m);
}

static void email_send(struct delivery *d) {
    struct mail m = {.from = set.from, .id = d->token, .at = time(NULL)};
    struct buffer message = {0};
    struct smtp_order order = {
        .url = set.url,
        .starttls = set.tls,
        .user = set.user,
        .password = password,
        .from = set.from,
        .to = m.to,
        .message = &message,
    };
    const char *fault = login_fault();

    if (fault != NULL) {
        delivery_failed(d, DELIVERY_CHANNEL, 0, "%s", fault);
        return;
    }
    fault = write_message(&m, &message, d);
    if (fault != NULL) {
        delivery_failed(d, DELIVERY_UNFIT, 0, "%s", fault);
        return;
    }
    order.to_count = m.to_count;
    d->state = smtp_new(&order, SECONDS, email_answered, d);
}

static void email_end(struct delivery *d) {
    smtp_free(d->state);
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
