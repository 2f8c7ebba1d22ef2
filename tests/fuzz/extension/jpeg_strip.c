/* JPEG files, cut anywhere: what stays is the same however the file comes; nothing of it but an
 * orientation is metadata; taking it out once more changes nothing; of what stays all was there. */
#include "jpeg.c"

#include "common.h"

#include <stdlib.h>

#define SIZE_MAX_IN 4096

struct result {
    unsigned char bytes[SIZE_MAX_IN + 64 * JPEG_GROWTH];
    size_t length;
    bool whole;
};

/* In pieces of so many bytes, as the database gets them. */
static void strip_in_pieces(const unsigned char *file, size_t length, size_t piece,
                            struct result *result) {
    JpegStrip strip = {0};
    unsigned char *held = NULL;
    size_t held_length = 0;

    result->length = 0;
    for (size_t at = 0; at < length; at += piece) {
        size_t n = length - at < piece ? length - at : piece;
        unsigned char *in = malloc(held_length + n);
        unsigned char *out = malloc(held_length + n + JPEG_GROWTH);
        size_t used, written;

        PROPERTY(in != NULL && out != NULL);
        if (held_length > 0)
            memcpy(in, held, held_length);
        memcpy(in + held_length, file + at, n);
        used = jpeg_strip(&strip, in, held_length + n, out, &written);
        PROPERTY(used <= held_length + n && written <= used + JPEG_GROWTH);
        PROPERTY(held_length + n - used <= JPEG_HELD_MAX);
        PROPERTY(result->length + written <= sizeof(result->bytes));
        memcpy(result->bytes + result->length, out, written);
        result->length += written;
        free(held);
        held_length = held_length + n - used;
        held = malloc(held_length + 1);
        PROPERTY(held != NULL);
        memcpy(held, in + used, held_length);
        free(in);
        free(out);
    }
    free(held);
    result->whole = jpeg_is_whole(&strip);
}

/* Walks over the markers of a whole file in its own way; counts the segments that may hold
 * metadata. */
static unsigned judge_metadata(const unsigned char *file, size_t length) {
    unsigned found = 0;
    size_t at = 2;

    while (at + 4 <= length) {
        unsigned marker = file[at + 1];
        size_t size = (size_t) file[at + 2] << 8 | file[at + 3];
        const unsigned char *name = file + at + 4;

        if (file[at] != 0xff || (at > 2 && (marker == 0 || (marker >= 0xd0 && marker <= 0xd7)))) {
            at++;
            continue;
        }
        if (marker == 0xd9)
            break;
        if (marker == 0x01) {
            at += 2;
            continue;
        }
        if (marker == 0xe1 && size == JPEG_GROWTH - 2 &&
            memcmp(name, "Exif\0\0MM\0*\0\0\0\10\0\1\1\x12", 18) == 0)
            found += 1000;
        else if ((marker >= 0xe1 && marker <= 0xef && marker != 0xe2 && marker != 0xee) ||
                 marker == 0xfe)
            found++;
        at += 2 + size;
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct result whole, pieces, again;
    size_t piece;

    if (size < 1 || size > SIZE_MAX_IN)
        return 0;
    piece = (size_t) data[0] % 16 + 1;
    strip_in_pieces(data + 1, size - 1, SIZE_MAX_IN, &whole);
    strip_in_pieces(data + 1, size - 1, piece, &pieces);
    PROPERTY(whole.whole == pieces.whole);
    if (!whole.whole)
        return 0;
    PROPERTY(whole.length == pieces.length);
    PROPERTY(memcmp(whole.bytes, pieces.bytes, whole.length) == 0);
    PROPERTY(judge_metadata(whole.bytes, whole.length) % 1000 == 0);
    PROPERTY(judge_metadata(whole.bytes, whole.length) <= 1000);
    strip_in_pieces(whole.bytes, whole.length, SIZE_MAX_IN, &again);
    PROPERTY(again.whole && again.length == whole.length);
    PROPERTY(memcmp(again.bytes, whole.bytes, whole.length) == 0);
    return 0;
}
