/*
 * message_template.h: what messages say, in which language. What runs SQL here does so between
 * SPI_connect and SPI_finish.
 */
#ifndef CQ_MESSAGE_TEMPLATE_H
#define CQ_MESSAGE_TEMPLATE_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* {name} becomes the value; "" for NULL. */
typedef struct Placeholder {
    const char *name, *value;
} Placeholder;

/*
 * Appends "subject" (of an e-mail) and "body" as members of a JSON object, in the language or else
 * in English. False where there is no text. values end with one without a name.
 */
extern bool template_append(StringInfo json, const char *purpose, const char *channel,
                            const char *language, const Placeholder *values);

#endif
