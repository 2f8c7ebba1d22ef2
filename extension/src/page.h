/*
 * page.h: cutting lists into pages, by page number or by cursor.
 */
#ifndef CQ_PAGE_H
#define CQ_PAGE_H

#include "postgres.h"

#include "fields.h"

/* A count is exact up to here, and an estimate beyond. */
#define PAGE_COUNT_EXACT 10000

typedef struct ListPage {
    Fields *query;
    const char *path;   /* "/api/patients/" */
    const char *cursor; /* key of the last row of the page before; NULL: by number */
    int64 number;       /* from 1 */
    int size;
    int64 count;
    bool count_exact;
} ListPage;

/*
 * Reads page, page_size and cursor. Call page_settle() once count is known: it finds the page
 * that `last` means and raises P0002 for a page that does not exist.
 */
extern void page_read(ListPage *page, Fields *query, const char *path, int default_size,
                      int max_size);
extern void page_settle(ListPage *page, int64 count, bool count_exact);
extern int64 page_offset(const ListPage *page);

/*
 * The envelope round a JSON array of rows, and a Link header. last_key is the key of the last
 * row; NULL where the list has no cursor or ends here.
 */
extern Datum page_reply(const ListPage *page, StringInfo rows, const char *last_key);

/* The same for a list that has no numbered pages and is not counted: next and results. */
extern Datum page_reply_keyset(const ListPage *page, StringInfo rows, const char *last_key);

#endif
