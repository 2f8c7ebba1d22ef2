/* What Google Drive means by an answer that is not the one that was hoped for. */
#ifndef CLINICQ_CHANNEL_DRIVE_REFUSAL_H
#define CLINICQ_CHANNEL_DRIVE_REFUSAL_H

#include "channel.h"

struct transfer;

struct drive_refusal {
    enum delivery_fault fault;
    unsigned retry_after;
    char text[200];
};

/* folder: the request makes a file in the folder, so one that is not there, or not ours to write
 * in, is a matter of the set-up and not of the file. */
struct drive_refusal drive_refusal(const struct transfer *t, bool folder);

#endif
