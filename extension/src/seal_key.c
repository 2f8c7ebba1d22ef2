#include "seal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/guc.h"

#define HEX_SEED (2 * crypto_sign_SEEDBYTES)

static char *seal_key_file = NULL;
static char *last_fault = NULL; /* so that each is told once */

void seal_key_init(void) {
    DefineCustomStringVariable(
        "clinicq.seal_key_file",
        "File with the Ed25519 key that seals of the audit log are signed with.",
        "Made by clinicq-audit keygen; owned by the server's user, mode 0600 or 0400. Empty: not signed.",
        &seal_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

static bool refuse(const char *fault) {
    if (last_fault == NULL || strcmp(last_fault, fault) != 0) {
        if (last_fault != NULL)
            free(last_fault);
        last_fault = strdup(fault);
        ereport(
            WARNING, errcode(ERRCODE_CONFIG_FILE_ERROR),
            errmsg("seals of the audit log are not signed: the file of clinicq.seal_key_file %s",
                   fault),
            errhint("It is made by: clinicq-audit keygen FILE. The server's user has to own it, "
                    "and nobody else may read it."));
    }
    return false;
}

bool seal_key_is_configured(void) {
    return seal_key_file != NULL && *seal_key_file != '\0';
}

bool seal_key_load(uint8 public_key[crypto_sign_PUBLICKEYBYTES],
                   uint8 secret_key[crypto_sign_SECRETKEYBYTES]) {
    char digits[HEX_SEED + 2] = "";
    uint8 seed[crypto_sign_SEEDBYTES];
    struct stat file;
    const char *end;
    size_t length;
    ssize_t got = -1;
    int fd;

    if (!seal_key_is_configured())
        return false;
    fd = OpenTransientFile(seal_key_file, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return refuse("cannot be opened");
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_uid == geteuid() &&
        (file.st_mode & (S_IRWXG | S_IRWXO | S_IXUSR)) == 0)
        got = read(fd, digits, sizeof digits - 1);
    CloseTransientFile(fd);
    if (got < 0)
        return refuse("is not the server's alone (mode 0600 or 0400)");
    if (sodium_hex2bin(seed, sizeof seed, digits, HEX_SEED, NULL, &length, &end) != 0 ||
        length != sizeof seed || (digits[HEX_SEED] != '\n' && digits[HEX_SEED] != '\0'))
        return refuse("is not 64 hexadecimal digits");
    crypto_sign_seed_keypair(public_key, secret_key, seed);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(digits, sizeof digits);
    if (last_fault != NULL)
        free(last_fault);
    last_fault = NULL;
    return true;
}
