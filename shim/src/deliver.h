/* clinicq-shim deliver: sends what is in the outbox. */
#ifndef CLINICQ_DELIVER_H
#define CLINICQ_DELIVER_H

struct config;

/* Delivers until a signal. */
void deliver(const struct config *c);

/* For clinicq-shim check: calls say() for each channel with what is missing, NULL where it is
 * ready; on: whether the settings in the database, of clinicq_api.delivery_settings(), set it up.
 */
void deliver_check(const struct config *c, const char *settings,
                   void (*say)(void *arg, const char *channel, int on, const char *missing),
                   void *arg);

#endif
