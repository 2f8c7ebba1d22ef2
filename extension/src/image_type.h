/*
 * image_type.h: what a file is, from its first bytes; nothing is decoded.
 */
#ifndef CQ_IMAGE_TYPE_H
#define CQ_IMAGE_TYPE_H

#include <stddef.h>

#define IMAGE_JPEG "image/jpeg"

/* The media type, NULL for none that is taken. */
extern const char *image_type(const unsigned char *bytes, size_t length);
/* The ending of a file's name for a media type of these. */
extern const char *image_ending(const char *media_type);

#endif
