#include "digest.h"

#include "base64.h"

#include "log.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

size_t digest_hmac(const EVP_MD *hash, const char *key, size_t key_len, const char *data,
                   size_t len, unsigned char *out) {
    unsigned size = 0;

    if (HMAC(hash, key, (int) key_len, (const unsigned char *) data, len, out, &size) == NULL)
        log_fatal("HMAC failed");
    return size;
}

void digest_hex(struct buffer *out, const unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++)
        buffer_format(out, "%02x", bytes[i]);
}

void digest_base64url(struct buffer *out, const char *data, size_t len) {
    size_t start = out->len;

    base64_encode(out, data, len);
    while (out->len > start && out->data[out->len - 1] == '=')
        out->data[--out->len] = '\0';
    for (char *c = out->data + start; *c != '\0'; c++)
        *c = (char) (*c == '+' ? '-' : *c == '/' ? '_' : *c);
}

bool digest_equal(const char *a, const char *b, size_t len) {
    return CRYPTO_memcmp(a, b, len) == 0;
}
