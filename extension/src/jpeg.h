/*
 * jpeg.h: takes metadata out of a JPEG file (ITU-T T.81, annex B) that comes in pieces. Nothing is
 * decoded; of the segments with metadata only what says how the picture is to be shown stays.
 */
#ifndef CQ_JPEG_H
#define CQ_JPEG_H

#include <stdbool.h>
#include <stddef.h>

/* Of what is not used up as much has to come again before the next piece: a segment and its marker.
 */
#define JPEG_HELD_MAX 65537
/* So much longer than what comes in can be what goes out. */
#define JPEG_GROWTH 36

typedef enum JpegStage {
    JPEG_START,
    JPEG_MARKER, /* a marker is next */
    JPEG_COPY,   /* the rest of a segment that stays */
    JPEG_SKIP,   /* ... or does not */
    JPEG_SCAN,   /* the entropy-coded data of a scan */
    JPEG_END,    /* after the picture, where nothing stays */
    JPEG_BAD     /* it is none */
} JpegStage;

/* All zero to begin with; may be kept as bytes between two pieces. */
typedef struct JpegStrip {
    JpegStage stage;
    unsigned left; /* bytes of the segment */
    bool scan;     /* a scan's data follows the segment, or has been seen */
    bool in_header;
    bool oriented; /* the orientation has been written */
} JpegStrip;

/*
 * Writes to out, which has room for length + JPEG_GROWTH bytes, what stays of in; *written is how
 * much that is. Returns how much of in was used up.
 */
extern size_t jpeg_strip(JpegStrip *strip, const unsigned char *in, size_t length,
                         unsigned char *out, size_t *written);

/* Whether what has come can be the whole file. */
extern bool jpeg_is_whole(const JpegStrip *strip);

#endif
