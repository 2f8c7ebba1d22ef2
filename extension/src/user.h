/*
 * user.h: who may log in over HTTP. What runs SQL here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_USER_H
#define CQ_USER_H

#include "postgres.h"

#include "faults.h"

/* Checks a name (NULL: not given). */
extern void user_check_name(Faults *faults, const char *username);

#define USER_ONE_TIME 0x01 /* the password serves only to be changed */
#define USER_DEMO     0x02 /* production is refused while the user is not shut out */

/* Returns the id. email: NULL for none. 23505: a user has that name, in whatever case, or address.
 */
extern int64 user_create(const char *username, const char *password, uint32 roles, uint32 flags,
                         const char *email);

/* The key of a user; 0 if there is none. */
extern int64 user_look_up(const char *username);
/* The key of a user. P0002 */
extern int64 user_find(const char *username);
extern char *user_find_name(int64 user_id);
extern bool user_password_is(int64 user_id, const char *password);

/* Checks an address of e-mail (NULL: none); returns what is to be stored. */
extern char *user_check_email(Faults *faults, const char *email);
/* NULL: none. P0002; 23505: another user has it. */
extern void user_set_email(int64 user_id, const char *email);

/* The following end the user's sessions. P0002 */
extern void user_set_password(int64 user_id, const char *password);
extern void user_change_roles(int64 user_id, uint32 add, uint32 remove);
extern void user_set_disabled(int64 user_id, bool disabled);

#endif
