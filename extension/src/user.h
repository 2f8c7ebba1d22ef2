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

/* Returns the id. 23505: a user has that name, in whatever case. */
extern int64 user_create(const char *username, const char *password, uint32 roles, uint32 flags);

/* The key of a user; 0 if there is none. */
extern int64 user_look_up(const char *username);
/* The key of a user. P0002 */
extern int64 user_find(const char *username);
extern char *user_find_name(int64 user_id);
extern bool user_password_is(int64 user_id, const char *password);

/* The following end the user's sessions. P0002 */
extern void user_set_password(int64 user_id, const char *password);
extern void user_change_roles(int64 user_id, uint32 add, uint32 remove);
extern void user_set_disabled(int64 user_id, bool disabled);

#endif
