#include "secret.h"

#include "memory.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 65536

char *secret_file(const char *file, const char **fault) {
    FILE *f = fopen(file, "re");
    char *text;
    size_t len;

    if (f == NULL) {
        *fault = "the file cannot be read";
        return NULL;
    }
    text = memory_alloc(FILE_MAX + 1);
    len = fread(text, 1, FILE_MAX + 1, f);
    fclose(f);
    if (len > FILE_MAX || memchr(text, '\0', len) != NULL) {
        *fault = len > FILE_MAX ? "the file has more than 64 KiB" : "the file is no text";
        OPENSSL_cleanse(text, FILE_MAX + 1);
        free(text);
        return NULL;
    }
    text[len] = '\0';
    return text;
}

char *secret_read(const char *value, const char *file, const char **fault) {
    char *text;

    if (value[0] != '\0')
        return memory_text(value);
    if (file[0] == '\0') {
        *fault = "is not set";
        return NULL;
    }
    text = secret_file(file, fault);
    if (text != NULL)
        text[strcspn(text, "\r\n")] = '\0';
    if (text != NULL && text[0] == '\0') {
        *fault = "the file's first line is empty";
        secret_free(text);
        return NULL;
    }
    return text;
}

void secret_free(char *secret) {
    if (secret != NULL)
        OPENSSL_cleanse(secret, strlen(secret));
    free(secret);
}
