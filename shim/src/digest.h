/* Hashes and signatures, by OpenSSL. */
#ifndef CLINICQ_DIGEST_H
#define CLINICQ_DIGEST_H

#include "memory.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

#define SHA256_SIZE 32
#define MD5_SIZE    16

/* out has room for EVP_MAX_MD_SIZE bytes; the number of them is returned. */
size_t digest_hmac(const EVP_MD *hash, const char *key, size_t key_len, const char *data,
                   size_t len, unsigned char *out);
/* Lower case hexadecimal digits, and base64 for URLs without padding (RFC 7515, 2). */
void digest_hex(struct buffer *out, const unsigned char *bytes, size_t len);
void digest_base64url(struct buffer *out, const char *data, size_t len);
/* Equal, in a time that does not depend on where they differ. */
bool digest_equal(const char *a, const char *b, size_t len);

#endif
