#include "password.h"

#include <sodium.h>

#include "mb/pg_wchar.h"
#include "setting.h"

#define PASSWORD_MIN 12
#define PASSWORD_MAX 128

void password_check(Faults *faults, const char *password) {
    int length = pg_mbstrlen(password);

    if (length < PASSWORD_MIN || length > PASSWORD_MAX)
        faults_add(faults, "password", "must be %d to %d characters long", PASSWORD_MIN,
                   PASSWORD_MAX);
}

char *password_hash(const char *password) {
    char *hash = palloc(crypto_pwhash_STRBYTES);

    if (crypto_pwhash_str_alg(hash, password, strlen(password),
                              (unsigned long long) setting_int(SETTING_PASSWORD_ITERATIONS),
                              (size_t) setting_int(SETTING_PASSWORD_MEMORY_KIB) * 1024,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
                errmsg("there is no memory to hash a password"));
    return hash;
}

bool password_verify(const char *hash, const char *password) {
    return crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;
}

char *password_generate(void) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char *password = palloc0(21);

    for (int i = 0; i < 20; i++)
        password[i] = alphabet[randombytes_uniform(sizeof alphabet - 1)];
    return password;
}
