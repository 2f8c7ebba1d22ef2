/*
 * visit_move.h: the states of a visit and the moves between them. The one table of moves is in
 * visit_move.c.
 */
#ifndef CQ_VISIT_MOVE_H
#define CQ_VISIT_MOVE_H

#include "postgres.h"

typedef enum Move {
    MOVE_START,
    MOVE_IN_ROOM,
    MOVE_SEND_BACK,
    MOVE_DONE,
    MOVE_NO_SHOW,
    MOVE_RECALL,
    MOVE_CANCEL,
    MOVE_TRANSFER,
    MOVE_HOLD,
    MOVE_RESUME,
    MOVE_ANNOUNCE,
    MOVE_COUNT
} Move;

/* Whether visit_event.move has such a name: a move, or what else is an event of a visit. */
extern bool move_is_event(const char *name);

/* Roles that may make a move. */
extern uint32 move_roles(Move move);

/*
 * Locks a visit and checks that the move is possible from its state. Returns true if so; false
 * where this HTTP user has made the same move on it before, so that a client may send it again.
 * Leaves patient_id, queue_id, priority of the visit in SPI_tuptable. P0002; QC409 otherwise.
 */
extern bool move_check(Move move, int64 visit_id);

/*
 * Makes a move (any but transfer). room_id: the room to call to, 0 for none. Leaves SPI_tuptable
 * with the visit's VISIT_COLUMNS. P0002: no such visit or room; QC409: not possible now.
 */
extern void move_make(Move move, int64 visit_id, int64 room_id);

/*
 * Locks a room of the visit's clinic and checks that nobody else is in it. P0002: no such open
 * room; QC409 names the token that is.
 */
extern void move_check_room(int64 visit_id, int64 room_id);

/* What opens a closed visit again: patient, queue and day have to be there still. Locked. QC409. */
extern void move_check_open_again(int64 visit_id);

#endif
