#include "password.h"

#include <sodium.h>
#include <zxcvbn.h>

#include "clock.h"
#include "error.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "own_lock.h"
#include "pgstat.h"
#include "setting.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/formatting.h"

#define PASSWORD_MIN 12
#define PASSWORD_MAX 128
/* zxcvbn's highest score begins at 10^10 guesses; this is a little above. */
#define PASSWORD_BITS 36.0
#define KNOWN_WORDS   15

#define SLOT_WAIT_MS 2000
#define SLOT_POLL_MS 5

static const char *weakness(const ZxcMatch_t *part) {
    for (; part != NULL; part = part->Next)
        switch ((int) part->Type & ~MULTIPLE_MATCH) {
        case USER_MATCH:
        case USER_LEET_MATCH:
            return "it contains the name of the user or of the clinic";
        case DICTIONARY_MATCH:
        case DICT_LEET_MATCH:
            return "it is made of common words or known passwords";
        case REPEATS_MATCH:
        case SEQUENCE_MATCH:
        case SPATIAL_MATCH:
            return "it repeats itself, or follows the alphabet or the keyboard";
        case DATE_MATCH:
        case YEAR_MATCH:
            return "it contains a date";
        default:
            break;
        }
    return "it is too short for what it is made of";
}

/* The words of a text in lower case, as zxcvbn's dictionary of the user; the text is cut up. */
static void list_words(const char *words[KNOWN_WORDS + 1], char *from) {
    char *rest = asc_tolower(from, strlen(from));
    int count = 0;

    for (char *word; count < KNOWN_WORDS && (word = strsep(&rest, " @.+_-")) != NULL;)
        if (strlen(word) > 2)
            words[count++] = word;
    words[count] = NULL;
}

void password_check(Faults *faults, const char *password, const char *username) {
    int length = pg_mbstrlen(password);
    const char *known[KNOWN_WORDS + 1] = {NULL};
    ZxcMatch_t *parts = NULL;
    double bits;

    if (length < PASSWORD_MIN || length > PASSWORD_MAX) {
        faults_add(faults, "password", "must be %d to %d characters long", PASSWORD_MIN,
                   PASSWORD_MAX);
        return;
    }
    list_words(known,
               psprintf("clinicq %s %s", username ? username : "", clock_first_clinic_name()));
    bits = ZxcvbnMatch(password, known, &parts);
    if (bits < PASSWORD_BITS)
        faults_add(faults, "password", "is easily guessed: %s", weakness(parts));
    ZxcvbnFreeInfo(parts);
}

/* In no database, so that all of the cluster share the slots and no SQL function can take one. */
static void slot_tag(LOCKTAG *tag, int slot) {
    SET_LOCKTAG_ADVISORY(*tag, InvalidOid, 0, (uint32) slot, LOCK_PASSWORD_SLOT);
}

/* A free slot, held until it is given back, or the session or an error ends it. */
static int slot_take(void) {
    int slots = setting_int(SETTING_PASSWORD_HASH_SLOTS);

    for (int waited = 0; waited <= SLOT_WAIT_MS; waited += SLOT_POLL_MS) {
        for (int slot = 0; slot < slots; slot++) {
            LOCKTAG tag;

            slot_tag(&tag, slot);
            if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
                return slot;
        }
        (void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, SLOT_POLL_MS,
                         PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
    ereport(
        ERROR, errcode(ERRCODE_CQ_TOO_MANY), errmsg("too many passwords are being checked"),
        errdetail(
            "{\"detail\":\"Too many log-ins at once; try again in a moment.\",\"retry_after\":2}"));
}

static void slot_give_back(int slot) {
    LOCKTAG tag;

    slot_tag(&tag, slot);
    LockRelease(&tag, ExclusiveLock, false);
}

static unsigned long long iterations(void) {
    return (unsigned long long) setting_int(SETTING_PASSWORD_ITERATIONS);
}

static size_t memory_bytes(void) {
    return (size_t) setting_int(SETTING_PASSWORD_MEMORY_KIB) * 1024;
}

char *password_hash(const char *password) {
    char *hash = palloc(crypto_pwhash_STRBYTES);
    int slot = slot_take();
    int failed = crypto_pwhash_str_alg(hash, password, strlen(password), iterations(),
                                       memory_bytes(), crypto_pwhash_ALG_ARGON2ID13);

    slot_give_back(slot);
    if (failed)
        ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
                errmsg("there is no memory to hash a password"));
    return hash;
}

bool password_verify(const char *hash, const char *password) {
    int slot = slot_take();
    bool right = crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;

    slot_give_back(slot);
    return right;
}

void password_verify_nobody(const char *password) {
    password_hash(password);
}

bool password_needs_rehash(const char *hash) {
    return crypto_pwhash_str_needs_rehash(hash, iterations(), memory_bytes()) != 0;
}

char *password_generate(void) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char *password = palloc0(21);

    for (int i = 0; i < 20; i++)
        password[i] = alphabet[randombytes_uniform(sizeof alphabet - 1)];
    return password;
}
