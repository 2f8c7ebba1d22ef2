/* The bytes of the image of a delivery, read from the database piece by piece; one piece is held.
 */
#ifndef CLINICQ_IMAGE_H
#define CLINICQ_IMAGE_H

#include "channel.h"

#include <stddef.h>
#include <stdint.h>

struct image;

/* Owned by the caller. more() is called, from the loop, when image_read() has said TRANSFER_WAIT
 * and would not any more. */
struct image *image_open(const struct delivery *d, uint64_t start, uint64_t length,
                         void (*more)(void *arg), void *arg);
/* Up to room bytes; 0 behind the last one; TRANSFER_WAIT; TRANSFER_BREAK where the database gives
 * no more of them. */
size_t image_read(struct image *image, char *out, size_t room);
void image_close(struct image *image);

#endif
