/* clinicq-shim: the HTTP server. */
#ifndef CLINICQ_SERVE_H
#define CLINICQ_SERVE_H

struct config;

/* Serves until a signal. */
void serve(const struct config *c);

#endif
