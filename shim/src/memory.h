/* Allocation. Everything that grows with what clients send has a bound elsewhere, so running out of
 * memory is not a state to serve requests in: it ends the process with one log line. */
#ifndef CLINICQ_MEMORY_H
#define CLINICQ_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

void *memory_alloc(size_t size);
void *memory_zero(size_t count, size_t size);
void *memory_grow(void *old, size_t size);
char *memory_text(const char *text);

/* An arena lives inside the object that owns it and gives memory until arena_free(). */
struct arena_chunk;
struct arena {
    char *free;
    size_t left;
    struct arena_chunk *chunks;
};

/* `first` is memory of the owner that is used before anything is allocated. */
void arena_init(struct arena *a, void *first, size_t size);
void *arena_alloc(struct arena *a, size_t size);
char *arena_text(struct arena *a, const char *text, size_t len);
void arena_free(struct arena *a);

/* A growing text, kept NUL-terminated. */
struct buffer {
    char *data;
    size_t len;
    size_t size;
};

void buffer_reserve(struct buffer *b, size_t more);
void buffer_add(struct buffer *b, const void *data, size_t len);
void buffer_text(struct buffer *b, const char *text);
void buffer_char(struct buffer *b, char c);
void buffer_number(struct buffer *b, uint64_t n);
void buffer_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds text as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
void buffer_json(struct buffer *b, const char *text, size_t len);
void buffer_free(struct buffer *b);

#endif
