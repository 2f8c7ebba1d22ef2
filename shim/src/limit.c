#include "limit.h"

#include "config.h"
#include "log.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SECOND 1000000
/* A key may stand in one of so many places of its table. */
#define WAYS 8

/* A bucket is one number: when it will be full again. The emptier, the later. */
struct bucket {
    uint64_t key;
    int64_t full_at;
};

struct table {
    const char *name;
    struct bucket *buckets;
    size_t sets;
    unsigned burst, rate; /* burst 0: no limit */
    int64_t step, depth;  /* microseconds: for one request, from empty to full */
    uint64_t refused;
};

struct owner {
    uint64_t token;
    uint64_t user;
};

#define OWNER_SETS 2048

static struct {
    struct table tables[LIMITS];
    struct owner *owners;
    uint64_t seed[2]; /* so that nobody can aim at a place */
} limits;

static void table_init(enum limit which, const char *name, size_t sets, unsigned burst,
                       unsigned rate) {
    struct table *t = &limits.tables[which];

    t->name = name;
    t->burst = burst;
    t->rate = rate;
    t->sets = sets;
    t->step = SECOND / rate;
    t->depth = t->step * burst;
    if (burst > 0)
        t->buckets = memory_zero(sets * WAYS, sizeof(*t->buckets));
}

void limit_open(const struct config *c) {
    if (getrandom(limits.seed, sizeof(limits.seed), 0) != (ssize_t) sizeof(limits.seed))
        log_fatal("no random bytes");
    table_init(LIMIT_ADDRESS, "address", 4096, c->address_burst, c->address_rate);
    table_init(LIMIT_LOGIN, "login", 1024, c->login_burst, c->login_rate);
    table_init(LIMIT_USER, "user", 1024, c->user_burst, c->user_rate);
    table_init(LIMIT_WRITE, "write", 1024, c->write_burst, c->write_rate);
    limits.owners = memory_zero((size_t) OWNER_SETS * WAYS, sizeof(*limits.owners));
}

void limit_close(void) {
    for (unsigned i = 0; i < LIMITS; i++)
        free(limits.tables[i].buckets);
    free(limits.owners);
}

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = ROTATE(v[1], 13) ^ v[0];
    v[0] = ROTATE(v[0], 32);
    v[2] += v[3];
    v[3] = ROTATE(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTATE(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTATE(v[1], 17) ^ v[2];
    v[2] = ROTATE(v[2], 32);
}

/* SipHash-2-4. */
static uint64_t hash(const void *data, size_t len) {
    const unsigned char *p = data;
    uint64_t v[4] = {limits.seed[0] ^ 0x736f6d6570736575, limits.seed[1] ^ 0x646f72616e646f6d,
                     limits.seed[0] ^ 0x6c7967656e657261, limits.seed[1] ^ 0x7465646279746573};
    uint64_t last = (uint64_t) len << 56;
    uint64_t word;

    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < len; i++)
        last |= (uint64_t) p[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        sip_round(v);
    word = v[0] ^ v[1] ^ v[2] ^ v[3];
    return word != 0 ? word : 1;
}

uint64_t limit_address_key(const struct address *a) {
    return hash(&a->ip, address_v4(a) ? sizeof(a->ip) : 8);
}

uint64_t limit_user_key(const char *user) {
    return hash(user, strlen(user));
}

/* The key's bucket, or in its place the fullest one, which knows the least. */
static struct bucket *find(struct table *t, uint64_t key, int64_t now) {
    struct bucket *set = &t->buckets[key % t->sets * WAYS];
    struct bucket *fullest = set;

    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].full_at < fullest->full_at)
            fullest = &set[i];
    }
    fullest->key = key;
    fullest->full_at = now;
    return fullest;
}

bool limit_take(enum limit which, uint64_t key, int64_t now, struct limit_state *s) {
    struct table *t = &limits.tables[which];
    struct bucket *b;
    int64_t full_at;

    if (t->burst == 0)
        return true;
    b = find(t, key, now);
    full_at = (b->full_at > now ? b->full_at : now) + t->step;
    if (full_at - now <= t->depth) {
        b->full_at = full_at;
        return true;
    }
    t->refused++;
    s->burst = t->burst;
    s->rate = t->rate;
    s->retry_after = (unsigned) ((full_at - now - t->depth + SECOND - 1) / SECOND);
    s->reset = (unsigned) ((b->full_at - now + SECOND - 1) / SECOND);
    return false;
}

uint64_t limit_token_user(const char *token) {
    uint64_t key = hash(token, strlen(token));
    const struct owner *set = &limits.owners[key % OWNER_SETS * WAYS];

    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].token == key)
            return set[i].user;
    return 0;
}

void limit_token_seen(const char *token, uint64_t user) {
    uint64_t key = hash(token, strlen(token));
    struct owner *set = &limits.owners[key % OWNER_SETS * WAYS];

    /* the newest first, the oldest falls out */
    memmove(set + 1, set, (WAYS - 1) * sizeof(*set));
    set[0] = (struct owner){key, user};
}

uint64_t limit_refused(enum limit which) {
    return limits.tables[which].refused;
}

const char *limit_name(enum limit which) {
    return limits.tables[which].name;
}
