#include "page.h"

#include <ctype.h>

#include "dispatch.h"
#include "json.h"
#include "reply.h"

#define LINK_MAX 1000 /* the shim sends no longer header */

void page_read(ListPage *page, Fields *query, const char *path, int default_size, int max_size) {
    char *number = query_text(query, "page");
    char *size = query_text(query, "page_size");
    int64 wanted;

    memset(page, 0, sizeof *page);
    page->query = query;
    page->path = path;
    page->cursor = query_text(query, "cursor");
    page->size = default_size;
    if (size != NULL && parse_int64(size, &wanted) && wanted > 0)
        page->size = (int) Min(wanted, max_size);
    page->number = 1;
    if (page->cursor != NULL || number == NULL)
        return;
    if (strcmp(number, "last") == 0)
        page->number = 0;
    else if (!parse_int64(number, &page->number) || page->number < 1 ||
             page->number > PG_INT64_MAX / max_size)
        ereport(ERROR, errcode(ERRCODE_NO_DATA_FOUND), errmsg("there is no such page"),
                errhint("Pages count from 1; \"last\" is the last one."));
}

int64 page_offset(const ListPage *page) {
    return page->cursor ? 0 : (page->number - 1) * page->size;
}

void page_settle(ListPage *page, int64 count, bool count_exact) {
    page->count = count;
    page->count_exact = count_exact;
    if (page->number == 0)
        page->number = Max((count + page->size - 1) / page->size, 1);
    if (page->number > 1 && page_offset(page) >= count)
        ereport(ERROR, errcode(ERRCODE_NO_DATA_FOUND), errmsg("there is no such page"),
                errhint("Pages count from 1; \"last\" is the last one."));
}

static void append_encoded(StringInfo url, const char *value, int length) {
    for (int i = 0; i < length; i++) {
        unsigned char byte = (unsigned char) value[i];

        if (isalnum(byte) || strchr("-._~,", byte) != NULL)
            appendStringInfoChar(url, (char) byte);
        else
            appendStringInfo(url, "%%%02X", byte);
    }
}

/* This list's address with other paging parameters: page number (0: omitted) or cursor. */
static char *page_url(const ListPage *page, int64 number, const char *cursor) {
    StringInfoData url;
    char separator = '?';
    Jsonb *query = page->query->object;

    initStringInfo(&url);
    appendStringInfo(&url, "%s%s", request_base_url(), page->path);
    if (query != NULL) {
        JsonbIterator *iterator = JsonbIteratorInit(&query->root);
        JsonbValue item;
        JsonbIteratorToken token;
        bool skip = false;

        while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE) {
            if (token == WJB_KEY) {
                char *key = pnstrdup(item.val.string.val, item.val.string.len);

                skip = strcmp(key, "page") == 0 || strcmp(key, "cursor") == 0;
                if (skip)
                    continue;
                appendStringInfoChar(&url, separator);
                append_encoded(&url, key, item.val.string.len);
                separator = '&';
            } else if (token == WJB_VALUE && !skip && item.type == jbvString) {
                appendStringInfoChar(&url, '=');
                append_encoded(&url, item.val.string.val, item.val.string.len);
            }
        }
    }
    if (cursor != NULL) {
        appendStringInfo(&url, "%ccursor=", separator);
        append_encoded(&url, cursor, (int) strlen(cursor));
    } else if (number > 1)
        appendStringInfo(&url, "%cpage=" INT64_FORMAT, separator, number);
    return url.data;
}

static Datum reply_with_link(const ListPage *page, StringInfo json, const char *last_key) {
    StringInfoData headers;
    char *link = NULL;

    if (last_key != NULL)
        link = psprintf("<%s>; rel=\"next\"", page_url(page, 0, last_key));
    if (link == NULL || strlen(link) > LINK_MAX)
        return reply(200, json, NULL);
    initStringInfo(&headers);
    appendStringInfoChar(&headers, '{');
    json_text(&headers, "Link", link);
    appendStringInfoChar(&headers, '}');
    return reply(200, json, &headers);
}

Datum page_reply(const ListPage *page, StringInfo rows, const char *last_key) {
    StringInfoData json;
    char *next = NULL;
    char *previous = NULL;

    if (page->cursor != NULL)
        next = last_key ? page_url(page, 0, last_key) : NULL;
    else {
        if (page->number * page->size < page->count)
            next = page_url(page, page->number + 1, NULL);
        if (page->number > 1)
            previous = page_url(page, page->number - 1, NULL);
    }
    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_int(&json, "count", page->count);
    if (!page->count_exact)
        json_bool(&json, "count_exact", false);
    json_text(&json, "next", next);
    json_text(&json, "previous", previous);
    json_key(&json, "results");
    appendBinaryStringInfo(&json, rows->data, rows->len);
    appendStringInfoChar(&json, '}');
    return reply_with_link(page, &json, last_key);
}

Datum page_reply_keyset(const ListPage *page, StringInfo rows, const char *last_key) {
    StringInfoData json;

    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_text(&json, "next", last_key ? page_url(page, 0, last_key) : NULL);
    json_key(&json, "results");
    appendBinaryStringInfo(&json, rows->data, rows->len);
    appendStringInfoChar(&json, '}');
    return reply_with_link(page, &json, last_key);
}
