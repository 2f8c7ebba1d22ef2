#include "check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PRINTED_MOST 100
#define PENDING_MOST 1000
#define RUNS_MOST    1000
#define BAR_WIDTH    40
#define EARLIER_MOST 3600 /* seconds */

struct run {
    uint64_t first, last;
    uint64_t by;             /* the position of the event that says so */
    char limit[INSTANT + 1]; /* of the seals that hold the positions: these are older */
    bool cut, none;          /* at last, where the next seal is younger; nothing was left */
};

/* When a number was drawn: that of the event with the highest one. */
struct drawn {
    uint64_t id; /* 0: none yet */
    int64_t at;
};

struct check {
    FILE *events, *seals;
    const struct keys *keys;
    char *event_line, *seal_line;
    size_t event_room, seal_room;
    uint64_t event_number, bytes, bytes_all;
    struct event event; /* the next one */
    bool has_event;
    MerkleTree stored;     /* of the hashes that the export gives */
    MerkleTree recomputed; /* of its events */
    bool differ, lost;
    uint64_t first, lost_from;
    struct seal previous;
    int64_t sealed_at;
    struct drawn drawn, latest;     /* before this seal; so far */
    char limit[INSTANT + 1];        /* seven years before the seal of this event; "": of none */
    uint64_t pending[PENDING_MOST]; /* events that do not fit their hashes, until the next seal */
    unsigned pendings;
    struct run gone[RUNS_MOST]; /* events that the export no longer had */
    struct run removed[RUNS_MOST];
    unsigned gone_count, removed_count;
    uint64_t differences, seal_count, signed_count;
    bool bar;
    struct timespec bar_at;
};

__attribute__((format(printf, 2, 3))) static void differs(struct check *c, const char *format,
                                                          ...) {
    va_list arguments;

    if (c->differences++ >= PRINTED_MOST)
        return;
    if (c->bar)
        fprintf(stderr, "\r\033[K");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static void draw_bar(struct check *c, bool last) {
    struct timespec now;
    unsigned done = c->bytes_all > 0 ? (unsigned) (BAR_WIDTH * c->bytes / c->bytes_all) : BAR_WIDTH;

    if (!c->bar)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!last && now.tv_sec == c->bar_at.tv_sec && now.tv_nsec - c->bar_at.tv_nsec < 200000000)
        return;
    c->bar_at = now;
    fprintf(stderr, "\r[%.*s%*s] %" PRIu64 " events", (int) done,
            "########################################", (int) (BAR_WIDTH - done), "",
            c->stored.size - c->first);
    if (last)
        fprintf(stderr, "\r\033[K");
}

/* A line without its end; -1 at the end of the file. */
static ssize_t read_line(FILE *file, char **line, size_t *room) {
    ssize_t length = getline(line, room, file);

    if (length > 0 && (*line)[length - 1] == '\n')
        (*line)[--length] = '\0';
    return length;
}

static void next_event(struct check *c) {
    c->has_event = false;
    while (!c->has_event) {
        ssize_t length = read_line(c->events, &c->event_line, &c->event_room);

        if (length < 0)
            return;
        c->bytes += (uint64_t) length + 1;
        if (++c->event_number % 1000 == 0)
            draw_bar(c, false);
        if (!event_parse(&c->event, c->event_line, (size_t) length))
            differs(c, "line %" PRIu64 " of the export is no event", c->event_number);
        else if (c->event.position < c->stored.size)
            differs(c, "reordered: position %" PRIu64 " stands after position %" PRIu64,
                    c->event.position, c->stored.size - 1);
        else
            c->has_event = true;
    }
}

/* Where the export does not begin at position 0 it says what stands before. */
static void read_beginning(struct check *c, bool part) {
    ssize_t length = read_line(c->events, &c->event_line, &c->event_room);

    if (length < 0)
        return;
    if (peaks_parse(&c->stored, c->event_line)) {
        c->first = c->stored.size;
        c->bytes += (uint64_t) length + 1;
        c->event_number++;
        if (!part)
            differs(c, "missing: positions 0 to %" PRIu64 "; --part checks a part", c->first - 1);
        next_event(c);
        return;
    }
    memset(&c->stored, 0, sizeof(c->stored));
    rewind(c->events);
    next_event(c);
}

static void append(struct check *c, const MerkleHash *stored, const MerkleHash *recomputed) {
    if (!c->differ && !merkle_equal(stored, recomputed)) {
        c->recomputed = c->stored;
        c->differ = true;
    }
    merkle_append(&c->stored, stored, NULL, NULL);
    if (c->differ)
        merkle_append(&c->recomputed, recomputed, NULL, NULL);
}

/* Past what is not there: the next root cannot be that of its seal. */
static void skip_gap(struct check *c, uint64_t until) {
    differs(c, "missing: positions %" PRIu64 " to %" PRIu64, c->stored.size, until - 1);
    c->stored.size = c->recomputed.size = until;
}

static void tell_missing(struct check *c, uint64_t first, uint64_t last) {
    if (first == last)
        differs(c, "missing: position %" PRIu64 ", already when it was exported", first);
    else
        differs(c, "missing: positions %" PRIu64 " to %" PRIu64 ", already when it was exported",
                first, last);
}

/* Where the seal of some of its positions is too young, these and what follows are not lawful. */
static void cut_run(struct run *run, const struct seal *seal) {
    if (run->cut || seal->size <= run->first || strcmp(seal->instant, run->limit) <= 0)
        return;
    run->cut = true;
    run->none = seal->previous_size <= run->first;
    if (!run->none && seal->previous_size <= run->last)
        run->last = seal->previous_size - 1;
}

/* The seals are read again: what retention took away is known only at the end. */
static void cut_removed(struct check *c) {
    struct seal seal;
    ssize_t length;

    if (c->removed_count == 0)
        return;
    rewind(c->seals);
    while ((length = read_line(c->seals, &c->seal_line, &c->seal_room)) >= 0)
        if (seal_parse(&seal, c->seal_line, (size_t) length))
            for (unsigned i = 0; i < c->removed_count; i++)
                cut_run(&c->removed[i], &seal);
}

/* What of a run no event of retention tells of. */
static void tell_unlawful(struct check *c, const struct run *run) {
    for (uint64_t at = run->first; at <= run->last;) {
        uint64_t next = run->last + 1;
        const struct run *lawful = NULL;

        for (unsigned i = 0; i < c->removed_count && lawful == NULL; i++) {
            const struct run *r = &c->removed[i];

            if (r->none)
                continue;
            if (at >= r->first && at <= r->last)
                lawful = r;
            else if (r->first > at && r->first < next)
                next = r->first;
        }
        if (lawful != NULL)
            at = lawful->last + 1;
        else {
            tell_missing(c, at, next - 1);
            at = next;
        }
    }
}

static void tell_gone(struct check *c) {
    cut_removed(c);
    for (unsigned i = 0; i < c->gone_count; i++)
        tell_unlawful(c, &c->gone[i]);
    for (unsigned i = 0; i < c->removed_count; i++)
        if (!c->removed[i].none)
            printf("Removed after its time: positions %" PRIu64 " to %" PRIu64
                   ", as the event of position %" PRIu64 " says.\n",
                   c->removed[i].first, c->removed[i].last, c->removed[i].by);
}

/* Whether it is lawful is seen at the end: the event that says so comes later. */
static void note_gone(struct check *c) {
    uint64_t position = c->event.position;
    struct run *last = c->gone_count > 0 ? &c->gone[c->gone_count - 1] : NULL;

    if (last != NULL && last->last + 1 == position)
        last->last = position;
    else if (c->gone_count < RUNS_MOST)
        c->gone[c->gone_count++] = (struct run){.first = position, .last = position};
    else
        tell_missing(c, position, position);
}

static void note_removal(struct check *c) {
    struct run run = {.by = c->event.position};

    memcpy(run.limit, c->limit, sizeof(run.limit));
    if (c->removed_count < RUNS_MOST && removal_parse(&c->event, c->limit, &run.first, &run.last))
        c->removed[c->removed_count++] = run;
}

/* As check_time() of ../src/verify.c. */
static void check_time(struct check *c) {
    int64_t drawn_after = c->drawn.at < c->sealed_at ? c->drawn.at : c->sealed_at;
    struct drawn made;

    if (!event_made(&c->event, &made.id, &made.at))
        return;
    if (c->drawn.id != 0 && made.id > c->drawn.id && made.at < drawn_after &&
        made.at + EARLIER_MOST < drawn_after)
        differs(c,
                "back-dated: position %" PRIu64
                ", unless the clock was set back; its number was drawn later",
                c->event.position);
    if (made.id > c->latest.id)
        c->latest = made;
}

static void check_event(struct check *c) {
    MerkleHash recomputed = c->event.leaf;

    if (c->event.position > c->stored.size)
        skip_gap(c, c->event.position);
    if (c->event.text == NULL)
        note_gone(c);
    else {
        merkle_leaf(&recomputed, c->event.text, c->event.text_length);
        note_removal(c);
    }
    if (c->event.text != NULL && c->event.personal != NULL && !personal_fits(&c->event))
        differs(c, "changed: a personal value of position %" PRIu64, c->event.position);
    if (!merkle_equal(&recomputed, &c->event.leaf)) {
        if (c->pendings < PENDING_MOST)
            c->pending[c->pendings++] = c->event.position;
        else
            differs(c, "changed: position %" PRIu64, c->event.position);
    } else if (c->event.text != NULL)
        check_time(c);
    append(c, &c->event.leaf, &recomputed);
    next_event(c);
}

static void tell_pending(struct check *c, const char *what, const char *why) {
    for (unsigned i = 0; i < c->pendings; i++)
        differs(c, "%s: position %" PRIu64 "%s", what, c->pending[i], why);
    c->pendings = 0;
}

static void check_root(struct check *c, const struct seal *seal) {
    MerkleHash stored, recomputed;

    merkle_root(&c->stored, &stored);
    recomputed = stored;
    if (c->differ)
        merkle_root(&c->recomputed, &recomputed);
    if (merkle_equal(&stored, &seal->root)) {
        tell_pending(c, "changed", "");
        c->lost = false;
    } else if (merkle_equal(&recomputed, &seal->root)) {
        tell_pending(c, "altered hash", ", whose event is as it was sealed");
        c->stored = c->recomputed;
        c->lost = false;
    } else {
        tell_pending(c, "changed", "");
        if (!c->lost) {
            differs(c,
                    "root differs: seal %" PRIu64 ", of positions %" PRIu64 " to %" PRIu64
                    "; from here on no root can be checked",
                    seal->number, seal->previous_size, seal->size - 1);
            c->lost = true;
        }
    }
    c->differ = false;
}

static bool is_trusted(const struct keys *keys, const struct seal *seal) {
    for (unsigned i = 0; i < keys->count; i++)
        if (memcmp(keys->key[i], seal->key, sizeof(seal->key)) == 0)
            return true;
    return false;
}

static void check_signature(struct check *c, const struct seal *seal) {
    if (seal->is_signed &&
        crypto_sign_verify_detached(seal->signature, (const unsigned char *) seal->text,
                                    seal->text_length, seal->key) != 0)
        differs(c, "signature wrong: seal %" PRIu64, seal->number);
    else if (seal->is_signed)
        c->signed_count++;
    if (!seal->is_signed && (c->keys != NULL || c->signed_count > 0))
        differs(c, "signature missing: seal %" PRIu64, seal->number);
    else if (c->keys != NULL && !is_trusted(c->keys, seal))
        differs(c, "signed with another key: seal %" PRIu64, seal->number);
}

/* False: what it says cannot be relied upon. */
static bool check_seal(struct check *c, const struct seal *seal) {
    MerkleHash hash;

    crypto_hash_sha256(hash.bytes, (const unsigned char *) seal->text, seal->text_length);
    if (c->seal_count > 0 && seal->number != c->previous.number + 1)
        differs(c, "seals missing or reordered: %" PRIu64 " follows %" PRIu64, seal->number,
                c->previous.number);
    else if (c->seal_count > 0 && (!merkle_equal(&seal->previous, &c->previous.hash) ||
                                   seal->previous_size != c->previous.size))
        differs(c, "seal altered: %" PRIu64 " does not follow the one before it", seal->number);
    else if (c->seal_count == 0 && c->first == 0 && seal->number != 1)
        differs(c, "seals missing: the first one is %" PRIu64, seal->number);
    check_signature(c, seal);
    if (!merkle_equal(&hash, &seal->hash) || seal->size <= seal->previous_size) {
        differs(c, "seal altered: %" PRIu64, seal->number);
        return false;
    }
    return true;
}

/* The events of one seal. False: the export has ended before. */
static bool check_events(struct check *c, const struct seal *seal) {
    if (seal->size < c->stored.size || (seal->size == c->stored.size && c->first == 0))
        return true; /* of events before this part */
    c->sealed_at = seal->at;
    c->drawn = c->latest;
    seven_years_before(c->limit, seal->instant);
    while (c->has_event && c->stored.size < seal->size && c->event.position < seal->size)
        check_event(c);
    if (!c->has_event && c->stored.size == seal->previous_size && c->stored.size < seal->size)
        return false;
    if (c->stored.size < seal->size)
        skip_gap(c, seal->size);
    check_root(c, seal);
    return true;
}

static void check_seals(struct check *c, bool part) {
    bool ended = false;
    uint64_t checked = 0, last = 0;
    ssize_t length;

    for (uint64_t line = 1; (length = read_line(c->seals, &c->seal_line, &c->seal_room)) >= 0;
         line++) {
        struct seal seal;
        bool whole;

        if (!seal_parse(&seal, c->seal_line, (size_t) length)) {
            differs(c, "line %" PRIu64 " of the seals is no seal", line);
            continue;
        }
        whole = check_seal(c, &seal);
        if (whole && !ended) {
            ended = !check_events(c, &seal);
            if (!ended)
                checked = seal.number;
        }
        if (ended && last == 0 && !part)
            differs(c, "missing: all positions from %" PRIu64 " on; --part checks a part",
                    c->stored.size);
        if (ended)
            last = seal.number;
        c->previous = seal;
        c->seal_count++;
    }
    if (c->has_event) {
        differs(c, "added: position %" PRIu64 " and what follows is of no seal", c->event.position);
        c->limit[0] = '\0';
        while (c->has_event)
            check_event(c);
        tell_pending(c, "changed", "");
    }
    draw_bar(c, true);
    if (part && (c->first > 0 || last > 0))
        printf("A part: positions %" PRIu64 " to %" PRIu64 ", up to seal %" PRIu64 " of %" PRIu64
               ".\n",
               c->first, c->stored.size - 1, checked, c->previous.number);
}

int check_export(FILE *events, FILE *seals, const struct keys *keys, bool part) {
    struct check *c = calloc(1, sizeof(*c));
    struct stat file;
    bool readable;
    uint64_t differences;

    if (c == NULL)
        return 2;
    c->events = events;
    c->seals = seals;
    c->keys = keys;
    if (fstat(fileno(events), &file) == 0)
        c->bytes_all = (uint64_t) file.st_size;
    c->bar = isatty(STDERR_FILENO) && c->bytes_all > 10000000;
    read_beginning(c, part);
    check_seals(c, part);
    tell_gone(c);
    readable = !ferror(events) && !ferror(seals);
    differences = c->differences;
    if (differences > PRINTED_MOST)
        printf("... and %" PRIu64 " more\n", differences - PRINTED_MOST);
    if (!readable)
        fprintf(stderr, "clinicq-audit: a file could not be read to its end\n");
    else if (c->seal_count == 0) {
        printf("There is no seal: nothing was proven.\n");
        differences++;
    } else
        printf("%" PRIu64 " events, %" PRIu64 " seals, %" PRIu64 " of them signed%s: %s.\n",
               c->stored.size - c->first, c->seal_count, c->signed_count,
               keys != NULL ? "" : " (no key was given to compare)",
               differences == 0 ? "all holds" : "DIFFERENCES");
    free(c->event_line);
    free(c->seal_line);
    free(c);
    return !readable ? 2 : differences == 0 ? 0 : 1;
}
