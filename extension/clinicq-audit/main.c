/* clinicq-audit: checks an export of the audit log without a database, and makes sealing keys. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "clinicq-audit " CLINICQ_VERSION " checks exports of ClinicQ's audit log.\n"
    "\n"
    "  clinicq-audit verify [--part] EXPORT SEALS [KEY]\n"
    "      Whether the events are what the seals say, and the seals follow each other.\n"
    "      EXPORT  what clinicq_audit.export_events() gave\n"
    "      SEALS   what clinicq_audit.export_seals() gave, or those of the server's log\n"
    "      KEY     a file of public keys, 64 hexadecimal digits a line: every seal must be\n"
    "              signed with one of them; without, each after a signed one must be signed\n"
    "      --part  EXPORT is of a period, not of all events\n"
    "      Exit status: 0 all holds, 1 there are differences, 2 a file cannot be read.\n"
    "\n"
    "  clinicq-audit keygen FILE\n"
    "      Makes a key for clinicq.seal_key_file, and FILE.pub, its public key; nothing where one\n"
    "      of them is there. Run it as the server's user, and keep FILE.pub on another machine.\n";

static int fault(const char *what, const char *file) {
    fprintf(stderr, "clinicq-audit: %s %s: %s\n", what, file, strerror(errno));
    return 2;
}

static bool keys_read(struct keys *keys, const char *name) {
    char line[KEY_HEX + 3];
    FILE *file = fopen(name, "re");
    bool good = true;

    if (file == NULL) {
        fault("cannot read", name);
        return false;
    }
    while (good && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        good = strlen(line) == KEY_HEX && keys->count < KEYS_MAX &&
               hex_parse(keys->key[keys->count++], crypto_sign_PUBLICKEYBYTES, line);
    }
    fclose(file);
    good = good && keys->count > 0;
    if (!good)
        fprintf(stderr, "clinicq-audit: %s is no list of up to %d keys of %d hexadecimal digits\n",
                name, KEYS_MAX, (int) KEY_HEX);
    return good;
}

static int verify(const char *export, const char *seals, const char *key, bool part) {
    struct keys keys = {0};
    FILE *event_file = NULL;
    FILE *seal_file = NULL;
    int status = 2;

    if (key != NULL && !keys_read(&keys, key))
        return 2;
    event_file = fopen(export, "re");
    if (event_file == NULL)
        return fault("cannot read", export);
    seal_file = fopen(seals, "re");
    if (seal_file == NULL)
        fault("cannot read", seals);
    else {
        status = check_export(event_file, seal_file, key != NULL ? &keys : NULL, part);
        fclose(seal_file);
    }
    fclose(event_file);
    return status;
}

static bool write_new(const char *name, mode_t mode, const char *line) {
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool good;

    if (file < 0) {
        fault("cannot make", name);
        return false;
    }
    good = dprintf(file, "%s\n", line) == (int) strlen(line) + 1 && fsync(file) == 0;
    if (close(file) != 0 || !good) {
        fault("cannot write", name);
        unlink(name);
        return false;
    }
    return true;
}

static int keygen(const char *name) {
    unsigned char seed[crypto_sign_SEEDBYTES], public_key[crypto_sign_PUBLICKEYBYTES];
    unsigned char secret_key[crypto_sign_SECRETKEYBYTES];
    char secret[2 * crypto_sign_SEEDBYTES + 1], shown[KEY_HEX + 1];
    char public_name[PATH_MAX];
    bool good;

    if (snprintf(public_name, sizeof(public_name), "%s.pub", name) >= (int) sizeof(public_name)) {
        errno = ENAMETOOLONG;
        return fault("cannot make", name);
    }
    randombytes_buf(seed, sizeof(seed));
    crypto_sign_seed_keypair(public_key, secret_key, seed);
    sodium_bin2hex(secret, sizeof(secret), seed, sizeof(seed));
    sodium_bin2hex(shown, sizeof(shown), public_key, sizeof(public_key));
    good = write_new(name, 0600, secret);
    if (good && !write_new(public_name, 0644, shown)) {
        unlink(name);
        good = false;
    }
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(secret_key, sizeof(secret_key));
    if (!good)
        return 2;
    puts(shown);
    return 0;
}

int main(int argc, char **argv) {
    bool part = argc > 2 && strcmp(argv[2], "--part") == 0;
    char **files = argv + (part ? 3 : 2);
    int count = argc - (part ? 3 : 2);

    if (sodium_init() < 0)
        return 2;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "verify") == 0 && (count == 2 || count == 3))
        return verify(files[0], files[1], count == 3 ? files[2] : NULL, part);
    if (argc == 3 && strcmp(argv[1], "keygen") == 0)
        return keygen(argv[2]);
    fputs(help, stderr);
    return 2;
}
