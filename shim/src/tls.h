/* The certificate and its key, which can change while we serve. */
#ifndef CLINICQ_TLS_H
#define CLINICQ_TLS_H

#include <gnutls/abstract.h>
#include <stdbool.h>

/* Forward secrecy and authenticated encryption only, as BCP 195 has it. */
#define TLS_PRIORITIES                                          \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:"               \
    "-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"                          \
    "-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:" \
    "-MAC-ALL:+AEAD:%SERVER_PRECEDENCE"

/* Reads both files; NULL, or why they cannot be used, and then what was read before stays. */
const char *tls_load(const char *certificate, const char *key);
void tls_close(void);
/* Seconds since 1970 until which the certificate is valid. */
long long tls_valid_until(void);

/* For the library: gives each new connection what was read last. */
int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                 const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                 gnutls_pcert_st **certificates, unsigned *certificate_count,
                 gnutls_privkey_t *key);

#endif
