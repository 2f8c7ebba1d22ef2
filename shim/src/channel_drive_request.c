#include "channel_drive.h"

#include "query.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK (1024 * 1024) /* a multiple of 256 KiB */

/* The folder is no part of the question: to an account that may write in it, but does not see it,
 * Drive answers 404. */
static void ask_for_files(struct drive *u) {
    struct buffer query = {0}, url = {0};

    buffer_format(&query, "appProperties has { key='sha256' and value='%s' } and trashed = false",
                  member_text(u->d->work, "sha256"));
    buffer_format(&url,
                  "%.*s/drive/v3/files?fields=files(id,size,md5Checksum,webViewLink,parents)"
                  "&supportsAllDrives=true&includeItemsFromAllDrives=true&q=",
                  u->to->url_len, u->to->url);
    percent_encode(&url, query.data);
    u->transfer = transfer_new("GET", url.data);
    buffer_free(&query);
    buffer_free(&url);
}

static void ask_for_session(struct drive *u) {
    struct json_object *metadata = json_object_new_object();
    struct json_object *parents = json_object_new_array();
    struct json_object *properties = json_object_new_object();
    const char *media_type = member_text(u->d->work, "media_type");
    struct buffer url = {0};
    const char *text;
    size_t len;

    json_object_array_add(parents, json_object_new_string(u->to->folder));
    json_object_object_add(properties, "sha256",
                           json_object_new_string(member_text(u->d->work, "sha256")));
    json_object_object_add(metadata, "name",
                           json_object_new_string(member_text(u->d->work, "name")));
    json_object_object_add(metadata, "mimeType", json_object_new_string(media_type));
    json_object_object_add(metadata, "parents", parents);
    json_object_object_add(metadata, "appProperties", properties);
    text = json_object_to_json_string_length(metadata, JSON_C_TO_STRING_PLAIN, &len);

    buffer_format(&url,
                  "%.*s/upload/drive/v3/files?uploadType=resumable&supportsAllDrives=true"
                  "&fields=id,webViewLink,md5Checksum",
                  u->to->url_len, u->to->url);
    u->transfer = transfer_new("POST", url.data);
    transfer_header(u->transfer, "Content-Type: application/json; charset=UTF-8");
    transfer_header(u->transfer, "X-Upload-Content-Type: %s", media_type);
    transfer_header(u->transfer, "X-Upload-Content-Length: %llu", (unsigned long long) u->size);
    transfer_body(u->transfer, text, len);
    json_object_put(metadata);
    buffer_free(&url);
}

static void bytes_came(void *arg) {
    struct drive *u = arg;

    transfer_resume(u->transfer);
}

static void send_chunk(struct drive *u) {
    uint64_t end = u->size - u->taken > CHUNK ? u->taken + CHUNK : u->size;

    u->transfer = transfer_new("PUT", u->session);
    transfer_header(u->transfer, "Content-Range: bytes %llu-%llu/%llu",
                    (unsigned long long) u->taken, (unsigned long long) end - 1,
                    (unsigned long long) u->size);
    /* slow is not dead */
    curl_easy_setopt(transfer_easy(u->transfer), CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(transfer_easy(u->transfer), CURLOPT_LOW_SPEED_TIME, (long) DRIVE_PATIENCE);
    drive_image_open(u, u->taken, end, bytes_came);
    transfer_source(u->transfer, end - u->taken, drive_image_read, u);
}

static void ask_how_far(struct drive *u) {
    u->transfer = transfer_new("PUT", u->session);
    transfer_header(u->transfer, "Content-Range: bytes */%llu", (unsigned long long) u->size);
    transfer_body(u->transfer, "", 0);
}

static void delete_file(struct drive *u) {
    struct buffer url = {0};

    buffer_format(&url, "%.*s/drive/v3/files/%s?supportsAllDrives=true", u->to->url_len, u->to->url,
                  u->file_id);
    u->transfer = transfer_new("DELETE", url.data);
    buffer_free(&url);
}

void drive_request(struct drive *u) {
    static void (*const make[DRIVE_STEPS])(struct drive *) = {
        [DRIVE_LOOK] = ask_for_files, [DRIVE_START] = ask_for_session, [DRIVE_SEND] = send_chunk,
        [DRIVE_ASK] = ask_how_far,    [DRIVE_UNDO] = delete_file,      [DRIVE_REMOVE] = delete_file,
    };

    make[u->step](u);
}
