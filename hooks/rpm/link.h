// SPDX-License-Identifier: Apache-2.0
/*
 * link is the connection to the daemon. No call waits longer than its deadline,
 * and all calls of a transaction together no longer than its budget. It knows
 * nothing of librpm and says nothing to people.
 */
#ifndef DIGESTD_LINK_H
#define DIGESTD_LINK_H

#include <sys/uio.h>

#include "wire.h"

enum link_state {
    LINK_CLOSED, /* nothing to say, or no longer */
    LINK_OPEN,
    LINK_LOST,   /* the daemon does not answer; nothing is sent, nothing awaited */
};

struct link {
    enum link_state state;
    int fd;
    int budget_ms;     /* what is left of the transaction's budget */
    struct buf outbox; /* frames that can wait for the next one */
    uint8_t *in;       /* the last frame received; grows with what arrives */
    size_t in_cap;
};

/* Connects to path without waiting: a daemon that cannot accept at once does not
 * answer. Like all that return bool here it sets errno when it fails. */
bool link_dial(struct link *l, const char *path);
void link_hang_up(struct link *l);
void link_free(struct link *l);

/* Now, and the moment by which an exchange that starts now must be over, in
 * milliseconds of CLOCK_MONOTONIC. */
int64_t link_now(void);
int64_t link_deadline(void);

/* Sends the outbox and then the n pieces of a frame, at most LINK_PIECES. */
enum { LINK_PIECES = 3 };
bool link_send(struct link *l, const struct iovec *frame, size_t n, int64_t deadline);

/* Reads one frame. Nothing may follow it: the daemon speaks only when asked. r
 * points into the link's memory until the next call. */
bool link_receive(struct link *l, struct reply *r, int64_t deadline);

/* Reports whether something has arrived, or the daemon is gone. */
bool link_has_news(const struct link *l);

#endif
