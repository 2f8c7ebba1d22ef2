/* clinicq-shim deliver: sends what is in the outbox. */
#ifndef CLINICQ_DELIVER_H
#define CLINICQ_DELIVER_H

struct config;

/* Delivers until a signal. */
void deliver(const struct config *c);

#endif
