/* Forms with a file that come in pieces, whose Content-Type is the first line: however they are cut
 * the same texts and the same bytes of the file are read; a form without one is read as whole ones
 * are; a file that is made up into a form comes back. And base64 there and back. */
#include "harness.h"

#include "base64.h"
#include "multipart.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct json_object *object;
    struct form form;
    struct buffer file;
    enum multipart_fault fault;
};

static bool read_in_pieces(struct reading *r, const char *type, const char *body, size_t len,
                           size_t piece) {
    *r = (struct reading){.object = json_object_new_object()};
    if (!form_open(&r->form, r->object, type))
        return false;
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        char *copy = malloc(n);

        PROPERTY(copy != NULL);
        memcpy(copy, body + at, n);
        form_feed(&r->form, copy, n, &r->file);
        free(copy);
    }
    r->fault = form_fault(&r->form);
    return true;
}

static void drop(struct reading *r) {
    form_close(&r->form);
    buffer_free(&r->file);
    json_object_put(r->object);
}

static bool same_bytes(const struct buffer *a, const char *data, size_t len) {
    return a->len == len && (len == 0 || memcmp(a->data, data, len) == 0);
}

static void check_base64(const char *data, size_t len) {
    struct buffer text = {0};
    size_t decoded;

    base64_encode(&text, data, len);
    decoded = text.len;
    PROPERTY(text.len % 4 == 0 && text.len == (len + 2) / 3 * 4);
    PROPERTY(len == 0 || base64_decode(text.data, &decoded));
    PROPERTY(decoded == len && (len == 0 || memcmp(text.data, data, len) == 0));
    buffer_free(&text);
}

/* Any bytes as a file, between two texts. */
static void check_file(const char *data, size_t len, size_t piece) {
    struct buffer body = {0};
    struct reading r;
    char boundary[32], line[64];
    unsigned n = 0;

    do {
        snprintf(boundary, sizeof(boundary), "edge%u", n++);
        snprintf(line, sizeof(line), "\r\n--%s", boundary);
    } while (memmem(data, len, line, strlen(line)) != NULL ||
             (len >= strlen(line) - 2 && memcmp(data, line + 2, strlen(line) - 2) == 0));
    buffer_format(&body, "--%s\r\nContent-Disposition: form-data; name=\"visit\"\r\n\r\n41\r\n",
                  boundary);
    buffer_format(&body,
                  "--%s\r\nContent-Disposition: form-data; name=\"image\"; filename=\"\"\r\n\r\n",
                  boundary);
    buffer_add(&body, data, len);
    buffer_format(
        &body, "\r\n--%s\r\nContent-Disposition: form-data; name=\"after\"\r\n\r\n\r\n--%s--\r\n",
        boundary, boundary);
    snprintf(line, sizeof(line), "multipart/form-data; boundary=%s", boundary);
    PROPERTY(read_in_pieces(&r, line, body.data, body.len, piece));
    PROPERTY(r.fault == MULTIPART_OK && r.form.has_file && strcmp(r.form.file, "image") == 0);
    PROPERTY(same_bytes(&r.file, data, len));
    PROPERTY(json_object_object_length(r.object) == 2);
    drop(&r);
    buffer_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {(const char *) data, size};
    struct reading whole, cut;
    struct json_object *object = json_object_new_object();
    size_t type_len, len, piece;
    enum multipart_fault fault;
    char *type = take_line(&in, &type_len);
    char *body = take_rest(&in, &len);

    piece = type_len % 13 + 1;
    check_base64(body, len);
    check_file(body, len, piece);
    fault = multipart_parse(object, type, body, len);
    if (read_in_pieces(&whole, type, body, len, len + 1)) {
        PROPERTY(read_in_pieces(&cut, type, body, len, piece));
        PROPERTY(whole.fault == cut.fault);
        if (whole.fault == MULTIPART_OK) {
            PROPERTY(json_object_equal(whole.object, cut.object));
            PROPERTY(same_bytes(&whole.file, cut.file.len > 0 ? cut.file.data : "", cut.file.len));
            PROPERTY(judge_object_of_texts(whole.object));
            PROPERTY(fault == MULTIPART_OK && json_object_equal(whole.object, object));
        }
        PROPERTY(fault != MULTIPART_OK || whole.fault == MULTIPART_OK);
    } else {
        PROPERTY(fault == MULTIPART_FORM);
        read_in_pieces(&cut, type, body, len, piece);
    }
    drop(&cut);
    drop(&whole);
    json_object_put(object);
    free(type);
    free(body);
    return 0;
}
