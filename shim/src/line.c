#include "line.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>

struct line lines[LINE_COUNT] = {
    {.channel = &channel_drive}, {.channel = &channel_sms},     {.channel = &channel_s3},
    {.channel = &channel_email}, {.channel = &channel_webhook},
};

struct line *line_of(const struct channel *channel) {
    for (unsigned i = 0; i < LINE_COUNT; i++)
        if (lines[i].channel == channel)
            return &lines[i];
    return NULL;
}

struct line *line_named(const char *name) {
    for (unsigned i = 0; i < LINE_COUNT; i++)
        if (strcmp(lines[i].channel->name, name) == 0)
            return &lines[i];
    return NULL;
}

static void configure(struct line *line, struct json_object *settings) {
    const char *text = json_object_to_json_string_ext(settings, JSON_C_TO_STRING_PLAIN);
    const char *missing;
    bool on;

    if (line->settings != NULL && strcmp(line->settings, text) == 0)
        return;
    free(line->settings);
    line->settings = memory_text(text);
    on = json_object_get_boolean(json_object_object_get(settings, "on")) != 0;
    missing = line->refused != NULL ? line->refused : line->channel->configure(settings);
    throttle_rate(&line->throttle, (double) member_number(settings, "rate"));
    throttle_succeeded(&line->throttle);
    line->missing = missing;
    line->on = on;
    if (on && missing != NULL)
        log_event(LOG_WARNING, "channel %s waits: %s", line->channel->name, missing);
    else if (on)
        log_event(LOG_INFO, "channel %s is on", line->channel->name);
}

void lines_configure(struct json_object *settings) {
    struct json_object *of_channel;

    for (unsigned i = 0; i < LINE_COUNT; i++)
        if (json_object_object_get_ex(settings, lines[i].channel->name, &of_channel))
            configure(&lines[i], of_channel);
}

/* What open() says is missing counts like what configure() says. */
void lines_read(const struct config *c) {
    for (unsigned i = 0; i < LINE_COUNT; i++) {
        lines[i].refused = lines[i].channel->open(c);
        if (lines[i].refused != NULL)
            lines[i].missing = lines[i].refused; /* the settings come later */
        free(lines[i].settings);
        lines[i].settings = NULL;
    }
}

void lines_open(const struct config *c) {
    for (unsigned i = 0; i < LINE_COUNT; i++)
        throttle_open(&lines[i].throttle, lines[i].channel != &channel_webhook);
    lines_read(c);
}

void lines_close(void) {
    for (unsigned i = 0; i < LINE_COUNT; i++) {
        lines[i].channel->close();
        free(lines[i].settings);
    }
}

void lines_check(const struct config *c, const char *settings,
                 void (*say)(void *arg, const char *channel, int on, const char *missing),
                 void *arg) {
    struct json_object *all = object_parse(settings);
    struct json_object *own;

    for (unsigned i = 0; i < LINE_COUNT; i++) {
        const struct channel *channel = lines[i].channel;
        const char *missing = channel->open(c);

        if (!json_object_object_get_ex(all, channel->name, &own))
            continue;
        if (missing == NULL)
            missing = channel->configure(own);
        say(arg, channel->name, json_object_get_boolean(json_object_object_get(own, "on")),
            missing);
    }
    for (unsigned i = 0; i < LINE_COUNT; i++)
        lines[i].channel->close();
    json_object_put(all);
}

void lines_write_metrics(struct buffer *out) {
    static const struct {
        const char *name, *type, *help;
    } heads[] = {
        {"done", "counter", "Attempts that the far side took."},
        {"failed", "counter", "Attempts that failed and are made again."},
        {"dead", "counter", "Deliveries that the far side will never take."},
        {"under_way", "gauge", "Attempts under way."},
        {"ready", "gauge", "Whether the channel is set up and may send."},
        {"paused", "gauge", "Whether the channel pauses because attempts failed in a row."},
    };

    for (unsigned k = 0; k < sizeof(heads) / sizeof(heads[0]); k++) {
        const char *suffix = strcmp(heads[k].type, "counter") == 0 ? "_total" : "";

        buffer_format(out, "# HELP clinicq_deliver_%s%s %s\n# TYPE clinicq_deliver_%s%s %s\n",
                      heads[k].name, suffix, heads[k].help, heads[k].name, suffix, heads[k].type);
        for (unsigned i = 0; i < LINE_COUNT; i++) {
            const struct line *line = &lines[i];
            const uint64_t values[] = {line->done,
                                       line->failed,
                                       line->dead,
                                       line->under_way,
                                       line->on && line->missing == NULL,
                                       throttle_is_open(&line->throttle)};

            buffer_format(out, "clinicq_deliver_%s%s{channel=\"%s\"} %llu\n", heads[k].name, suffix,
                          line->channel->name, (unsigned long long) values[k]);
        }
    }
}
