/*
 * address.h: whether a text may be an address of one kind. Each returns NULL, or what is wrong, in
 * the manner of "must be ..."; an empty text is right, it means none.
 */
#ifndef CQ_ADDRESS_H
#define CQ_ADDRESS_H

#include "postgres.h"

/* A URL's beginning: https, or http on this machine; without a slash at its end, query or fragment.
 */
extern const char *address_base_fault(const char *value);
/* A URL with a path and query; the same schemes. */
extern const char *address_url_fault(const char *value);
/* smtp:// or smtps:// with a host, and a port. */
extern const char *address_mail_server_fault(const char *value);
/* One address of e-mail, in ASCII (RFC 5321, 4.1.2, without quoted local parts). */
extern const char *address_email_fault(const char *value);
/* A number in E.164 (+ and 8 to 15 digits); and that, or Twilio's id of a messaging service. */
extern const char *address_number_fault(const char *value);
extern const char *address_sender_fault(const char *value);
/* Visible ASCII without blanks; and of these letters, digits and - . _ / only. */
extern const char *address_word_fault(const char *value);
extern const char *address_path_fault(const char *value);

#endif
