#include "tls.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 16

struct identity {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
    time_t valid_until;
};

/* The one before may still be in use by a handshake, which lives no longer than the time for
 * headers. */
static struct identity now, before;

static void drop(struct identity *id) {
    for (unsigned i = 0; i < id->count; i++)
        gnutls_pcert_deinit(&id->chain[i]);
    if (id->key != NULL)
        gnutls_privkey_deinit(id->key);
    memset(id, 0, sizeof(*id));
}

static const char *read_key(struct identity *id, const char *file) {
    gnutls_datum_t data;
    int result;

    if (gnutls_load_file(file, &data) != GNUTLS_E_SUCCESS)
        return "the key cannot be read";
    result = gnutls_privkey_init(&id->key);
    if (result == GNUTLS_E_SUCCESS)
        result = gnutls_privkey_import_x509_raw(id->key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(data.data, 0, data.size);
    gnutls_free(data.data);
    return result == GNUTLS_E_SUCCESS ? NULL : "the key is not a PEM key without a password";
}

static bool fits(const struct identity *id) {
    unsigned char of_key[64], of_certificate[64];
    size_t key_size = sizeof(of_key), certificate_size = sizeof(of_certificate);
    gnutls_pubkey_t public_key;
    bool same;

    if (gnutls_pubkey_init(&public_key) != GNUTLS_E_SUCCESS)
        return false;
    same = gnutls_pubkey_import_privkey(public_key, id->key, 0, 0) == GNUTLS_E_SUCCESS &&
           gnutls_pubkey_get_key_id(public_key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size) ==
               GNUTLS_E_SUCCESS &&
           gnutls_pubkey_get_key_id(id->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, of_certificate,
                                    &certificate_size) == GNUTLS_E_SUCCESS &&
           key_size == certificate_size && memcmp(of_key, of_certificate, key_size) == 0;
    gnutls_pubkey_deinit(public_key);
    return same;
}

static time_t expiry(gnutls_pcert_st *certificate) {
    gnutls_x509_crt_t x509;
    time_t until = 0;

    if (gnutls_pcert_export_x509(certificate, &x509) == GNUTLS_E_SUCCESS) {
        until = gnutls_x509_crt_get_expiration_time(x509);
        gnutls_x509_crt_deinit(x509);
    }
    return until;
}

static const char *read_identity(struct identity *id, const char *certificate, const char *key) {
    unsigned count = CHAIN_MAX;

    if (gnutls_pcert_list_import_x509_file(id->chain, &count, certificate, GNUTLS_X509_FMT_PEM,
                                           NULL, NULL, 0) != GNUTLS_E_SUCCESS)
        return "the certificate cannot be read, or is not PEM";
    id->count = count;
    id->valid_until = expiry(&id->chain[0]);
    const char *fault = read_key(id, key);

    if (fault == NULL && !fits(id))
        fault = "the key is not that of the certificate";
    return fault;
}

/* A key fits its certificate alone. */
static bool is_same(const struct identity *a, const struct identity *b) {
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        const gnutls_datum_t *left = &a->chain[i].cert, *right = &b->chain[i].cert;

        if (left->size != right->size || memcmp(left->data, right->data, left->size) != 0)
            return false;
    }
    return true;
}

const char *tls_load(const char *certificate, const char *key) {
    struct identity fresh = {0};
    const char *fault = read_identity(&fresh, certificate, key);

    if (fault != NULL) {
        drop(&fresh);
        return fault;
    }
    if (is_same(&fresh, &now)) {
        drop(&fresh);
        return NULL;
    }
    drop(&before);
    before = now;
    now = fresh;
    return NULL;
}

void tls_close(void) {
    drop(&before);
    drop(&now);
}

long long tls_valid_until(void) {
    return (long long) now.valid_until;
}

int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                 const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                 gnutls_pcert_st **certificates, unsigned *certificate_count,
                 gnutls_privkey_t *key) {
    (void) session;
    (void) authorities;
    (void) authority_count;
    (void) algorithms;
    (void) algorithm_count;
    *certificates = now.chain;
    *certificate_count = now.count;
    *key = now.key;
    return 0;
}
