/*
 * jpeg.c: without PostgreSQL, so that it can be fuzzed by itself.
 */
#include "jpeg.h"

#include <string.h>

#define MARKER 0xff
#define SOI    0xd8
#define EOI    0xd9
#define SOS    0xda
#define APP0   0xe0
#define APP1   0xe1
#define APP2   0xe2
#define APP14  0xee
#define APP15  0xef
#define COM    0xfe

/* Marker, length and the name that tells what a segment of an application is. */
#define HEAD         4
#define NAME_MAX_LEN 12
#define EXIF_NAME    6

typedef struct Bytes {
    const unsigned char *at;
    size_t length;
} Bytes;

static unsigned number(Bytes bytes, size_t at, size_t size, bool little) {
    unsigned value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes.at[little ? at + size - 1 - i : at + i];
    return value;
}

/* The tag Orientation of the first directory of a TIFF header (Exif 2.32, 4.6.4); 1 where it has
 * none. */
static unsigned orientation(Bytes tiff) {
    bool little;
    unsigned directory, count;

    if (tiff.length < 8 || (memcmp(tiff.at, "II*\0", 4) != 0 && memcmp(tiff.at, "MM\0*", 4) != 0))
        return 1;
    little = tiff.at[0] == 'I';
    directory = number(tiff, 4, 4, little);
    if (directory > tiff.length - 2)
        return 1;
    count = number(tiff, directory, 2, little);
    for (size_t at = (size_t) directory + 2; count > 0 && at + 12 <= tiff.length;
         count--, at += 12) {
        unsigned value = number(tiff, at + 8, 2, little);

        if (number(tiff, at, 2, little) == 0x0112 && number(tiff, at + 2, 2, little) == 3)
            return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

static size_t write_orientation(unsigned char *out, unsigned value) {
    static const unsigned char segment[JPEG_GROWTH] = {
        MARKER, APP1, 0, JPEG_GROWTH - 2, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, '*', 0, 0, 0, 8,
        /* one entry: Orientation, a SHORT */
        0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};

    memcpy(out, segment, sizeof segment);
    out[29] = (unsigned char) value;
    return sizeof segment;
}

static bool is_named(Bytes segment, const char *name, size_t length) {
    return segment.length >= HEAD + length && memcmp(segment.at + HEAD, name, length) == 0;
}

/* Of the applications' segments those stay that change how the picture looks: JFIF, its colour
 * profile, Adobe's colour transform. */
static bool stays(Bytes segment) {
    switch (segment.at[1]) {
    case APP0:
        return is_named(segment, "JFIF", 5);
    case APP2:
        return is_named(segment, "ICC_PROFILE", 12);
    case APP14:
        return is_named(segment, "Adobe", 5);
    default:
        return segment.at[1] != COM && (segment.at[1] < APP0 || segment.at[1] > APP15);
    }
}

/* A segment, of which at least its head and name are there, or all. */
static size_t begin_segment(JpegStrip *strip, Bytes in, unsigned length, unsigned char *out,
                            size_t *written) {
    unsigned char marker = in.at[1];
    Bytes segment = {in.at, in.length < length + 2 ? in.length : length + 2};

    if (marker == APP1) {
        unsigned value =
            !strip->oriented && is_named(segment, "Exif\0", 5) && segment.length > HEAD + EXIF_NAME
                ? orientation(
                      (Bytes){segment.at + HEAD + EXIF_NAME, segment.length - HEAD - EXIF_NAME})
                : 1;

        if (value != 1) {
            *written += write_orientation(out + *written, value);
            strip->oriented = true;
        }
        return segment.length;
    }
    strip->left = length + 2;
    strip->in_header = marker == SOS;
    strip->stage = stays(segment) ? JPEG_COPY : JPEG_SKIP;
    return 0;
}

/* 0: more has to come. */
static size_t take_marker(JpegStrip *strip, Bytes in, unsigned char *out, size_t *written) {
    unsigned length;
    size_t needed;

    if (in.length < 2)
        return 0;
    if (in.at[0] != MARKER) {
        strip->stage = JPEG_BAD;
        return 0;
    }
    if (in.at[1] == MARKER) /* a fill byte */
        return 1;
    if (in.at[1] == EOI || (in.at[1] >= 0xd0 && in.at[1] <= 0xd7) || in.at[1] == 0x01) {
        if (in.at[1] == EOI)
            strip->stage = JPEG_END;
        memcpy(out + *written, in.at, 2);
        *written += 2;
        return 2;
    }
    if (in.at[1] == 0 || in.at[1] == SOI) {
        strip->stage = JPEG_BAD;
        return 0;
    }
    if (in.length < HEAD)
        return 0;
    length = number(in, 2, 2, false);
    if (length < 2) {
        strip->stage = JPEG_BAD;
        return 0;
    }
    needed = in.at[1] == APP1 || length < NAME_MAX_LEN + 2 ? length + 2 : HEAD + NAME_MAX_LEN;
    return in.length < needed ? 0 : begin_segment(strip, in, length, out, written);
}

static size_t pass_segment(JpegStrip *strip, Bytes in, unsigned char *out, size_t *written) {
    size_t length = in.length < strip->left ? in.length : strip->left;

    if (strip->stage == JPEG_COPY) {
        memcpy(out + *written, in.at, length);
        *written += length;
    }
    strip->left -= (unsigned) length;
    if (strip->left == 0) {
        strip->stage = strip->in_header ? JPEG_SCAN : JPEG_MARKER;
        strip->scan = strip->scan || strip->in_header;
    }
    return length;
}

/* Up to the next marker that is none of the scan's own (stuffed zero, restart). */
static size_t copy_scan(JpegStrip *strip, Bytes in, unsigned char *out, size_t *written) {
    size_t length = 0;

    while (length < in.length) {
        const unsigned char *marker = memchr(in.at + length, MARKER, in.length - length);
        unsigned char next;

        if (marker == NULL) {
            length = in.length;
            break;
        }
        length = (size_t) (marker - in.at);
        if (length + 1 == in.length)
            break;
        next = marker[1];
        if (next != 0 && (next < 0xd0 || next > 0xd7)) {
            strip->stage = JPEG_MARKER;
            break;
        }
        length += 2;
    }
    memcpy(out + *written, in.at, length);
    *written += length;
    return length;
}

static size_t step(JpegStrip *strip, Bytes in, unsigned char *out, size_t *written) {
    switch (strip->stage) {
    case JPEG_START:
        if (in.length < 2)
            return 0;
        strip->stage = in.at[0] == MARKER && in.at[1] == SOI ? JPEG_MARKER : JPEG_BAD;
        memcpy(out + *written, in.at, 2);
        *written += 2;
        return 2;
    case JPEG_MARKER:
        return take_marker(strip, in, out, written);
    case JPEG_COPY:
    case JPEG_SKIP:
        return pass_segment(strip, in, out, written);
    case JPEG_SCAN:
        return copy_scan(strip, in, out, written);
    case JPEG_END:
    case JPEG_BAD:
        break;
    }
    return in.length;
}

size_t jpeg_strip(JpegStrip *strip, const unsigned char *in, size_t length, unsigned char *out,
                  size_t *written) {
    size_t used = 0;

    *written = 0;
    while (used < length) {
        JpegStage before = strip->stage;
        size_t n = step(strip, (Bytes){in + used, length - used}, out, written);

        if (n == 0 && strip->stage == before)
            break;
        used += n;
    }
    return used;
}

bool jpeg_is_whole(const JpegStrip *strip) {
    return strip->stage == JPEG_END || (strip->scan && strip->stage != JPEG_BAD);
}
