/*
 * room.h: rooms, and who works in them. What runs SQL here does so between SPI_connect and
 * SPI_finish.
 */
#ifndef CQ_ROOM_H
#define CQ_ROOM_H

#include "postgres.h"

/* The open room that the actor is signed into today, 0 for none. */
extern int64 room_of_actor(void);

extern bool room_is_open(int64 room_id);

/*
 * Locks a room without waiting, and checks that it is of the clinic and nobody is in it. P0002: no
 * such open room; QC409 names the token that is in it, or says that somebody else is calling to it.
 */
extern void room_try_lock(int64 room_id, int64 clinic_id);

#endif
