#include "memory.h"

#include "log.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk {
    struct arena_chunk *next;
    _Alignas(max_align_t) char data[];
};

#define ARENA_CHUNK 4096

static void *memory_check(void *p) {
    if (p == NULL)
        log_fatal("out of memory");
    return p;
}

void *memory_alloc(size_t size) {
    return memory_check(malloc(size > 0 ? size : 1));
}

void *memory_zero(size_t count, size_t size) {
    return memory_check(calloc(count > 0 ? count : 1, size));
}

void *memory_grow(void *old, size_t size) {
    return memory_check(realloc(old, size));
}

char *memory_text(const char *text) {
    return memory_check(strdup(text));
}

void arena_init(struct arena *a, void *first, size_t size) {
    a->free = first;
    a->left = size;
    a->chunks = NULL;
}

void *arena_alloc(struct arena *a, size_t size) {
    char *p;

    size = (size + 15) & ~(size_t) 15;
    if (size > a->left) {
        size_t room = size > ARENA_CHUNK ? size : ARENA_CHUNK;
        struct arena_chunk *chunk = memory_alloc(sizeof(*chunk) + room);

        chunk->next = a->chunks;
        a->chunks = chunk;
        a->free = chunk->data;
        a->left = room;
    }
    p = a->free;
    a->free += size;
    a->left -= size;
    return p;
}

char *arena_text(struct arena *a, const char *text, size_t len) {
    char *copy = arena_alloc(a, len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void arena_free(struct arena *a) {
    while (a->chunks != NULL) {
        struct arena_chunk *next = a->chunks->next;

        free(a->chunks);
        a->chunks = next;
    }
}

void buffer_reserve(struct buffer *b, size_t more) {
    size_t need = b->len + more + 1;
    size_t size = b->size > 0 ? b->size : 256;

    if (need <= b->size)
        return;
    while (size < need)
        size *= 2;
    b->data = memory_grow(b->data, size);
    b->size = size;
}

void buffer_add(struct buffer *b, const void *data, size_t len) {
    buffer_reserve(b, len);
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buffer_text(struct buffer *b, const char *text) {
    buffer_add(b, text, strlen(text));
}

void buffer_char(struct buffer *b, char c) {
    buffer_add(b, &c, 1);
}

void buffer_number(struct buffer *b, uint64_t n) {
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char) ('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buffer_add(b, digits + at, sizeof(digits) - at);
}

void buffer_format(struct buffer *b, const char *format, ...) {
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return;
    buffer_reserve(b, (size_t) len);
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t) len + 1, format, args);
    va_end(args);
    b->len += (size_t) len;
}

void buffer_json(struct buffer *b, const char *text, size_t len) {
    size_t plain = 0;
    size_t i = 0;

    buffer_char(b, '"');
    while (i < len) {
        unsigned char c = (unsigned char) text[i];
        size_t step = c < 0x80 ? 1 : utf8_step(text + i, len - i);

        if (step > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += step;
            continue;
        }
        buffer_add(b, text + plain, i - plain);
        if (step == 0)
            buffer_text(b, "\\ufffd");
        else if (c == '"' || c == '\\')
            buffer_format(b, "\\%c", c);
        else
            buffer_format(b, "\\u%04x", c);
        plain = ++i;
    }
    buffer_add(b, text + plain, len - plain);
    buffer_char(b, '"');
}

void buffer_free(struct buffer *b) {
    free(b->data);
    *b = (struct buffer){0};
}
