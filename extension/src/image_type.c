#include "image_type.h"

#include <stdbool.h>
#include <string.h>

#define BRANDS_MAX 16

static const struct {
    const char *media_type, *ending;
    size_t at, length;
    const char *bytes;
} types[] = {
    {IMAGE_JPEG, "jpg", 0, 3, "\xff\xd8\xff"},
    {"image/png", "png", 0, 16, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"},
    {"image/webp", "webp", 8, 7, "WEBPVP8"},
    {"application/pdf", "pdf", 0, 5, "%PDF-"},
    {"image/heic", "heic", 4, 4, "ftyp"},
};

#define TYPES (sizeof types / sizeof types[0])

/* One of the brands of the file type box (ISO/IEC 14496-12, 4.3) says that its pictures are HEVC's.
 */
static bool is_heic(const unsigned char *bytes, size_t length) {
    static const char brands[][5] = {"heic", "heix", "heim", "heis"};
    size_t end =
        (size_t) bytes[0] << 24 | (size_t) bytes[1] << 16 | (size_t) bytes[2] << 8 | bytes[3];

    if (end > length)
        end = length;
    if (end > 16 + 4 * BRANDS_MAX)
        end = 16 + 4 * BRANDS_MAX;
    for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) /* the version stands at 12 */
        for (size_t i = 0; i < sizeof brands / sizeof brands[0]; i++)
            if (memcmp(bytes + at, brands[i], 4) == 0)
                return true;
    return false;
}

const char *image_type(const unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < TYPES; i++) {
        if (length < types[i].at + types[i].length ||
            memcmp(bytes + types[i].at, types[i].bytes, types[i].length) != 0)
            continue;
        if ((types[i].at == 8 && memcmp(bytes, "RIFF", 4) != 0) ||
            (types[i].at == 4 && !is_heic(bytes, length)))
            return NULL;
        return types[i].media_type;
    }
    return NULL;
}

const char *image_ending(const char *media_type) {
    for (size_t i = 0; i < TYPES; i++)
        if (strcmp(types[i].media_type, media_type) == 0)
            return types[i].ending;
    return "bin";
}
