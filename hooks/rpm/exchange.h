// SPDX-License-Identifier: Apache-2.0
/*
 * exchange is the conversation of one transaction with the daemon: what is
 * told, what is asked, and what an answer means for rpm. It leaves every
 * decision to the daemon, or to the administrator where the daemon is away.
 */
#ifndef DIGESTD_EXCHANGE_H
#define DIGESTD_EXCHANGE_H

#include "elements.h"
#include "link.h"
#include "options.h"
#include "wait.h"

enum { MAX_WAITING = 64 };

/* A file that rpm has written and not yet named, put off until its list is known. */
struct waiting {
    int fd;        /* our own */
    uint32_t file; /* rpmfiFX */
    char *name;    /* for people */
};

/* The one header whose answer may be due. */
struct question {
    enum wait_state state;
    struct element *about;
    uint32_t to_come; /* files of the element that rpm may still write */
    uint32_t nwaiting;
    struct waiting waiting[MAX_WAITING];
};

struct session {
    struct options options;
    struct link link;
    struct elements elements;
    struct question question;
    struct element *current; /* whose files are being unpacked */
    bool refuse;       /* when the daemon does not answer */
    bool test;         /* nothing will be changed */
    bool db_only;      /* no file is touched */
    bool assured;      /* no answer can stop a package: files need not wait for it */
    bool unlisted;     /* a package with files got no list */
    bool ending;       /* the answer to END is due */
    bool label_warned;
};

/* Gives the daemon up for this transaction and says why. */
void lose(struct session *s, const char *why);

/* Asks about the whole transaction. It fails if the daemon refuses, or if it
 * does not answer and the administrator wants packages refused then. */
rpmRC begin(struct session *s, rpmts ts);

/* Hands the header of e over, which may be NULL. The daemon works on the list
 * while rpm goes on. */
void announce(struct session *s, struct element *e, Header h);

/* Takes the answer about the header announced last, if one is due. It fails if
 * that package must not be installed. */
rpmRC learn(struct session *s);

/* Does what the state of the question asks for at an event other than ON_FILE. */
rpmRC at_event(struct session *s, enum wait_event event);

/* Puts a file off, or takes the answer if that is impossible. *put_off tells
 * which. */
rpmRC at_file(struct session *s, const struct waiting *w, bool *put_off);

/* Labels and signs a file of e, and warns once if that is impossible. */
struct target;
void mark(struct session *s, const struct element *e, const struct target *file, const char *name);

/* Send what became of an element: its new number in rpm's database, rpm's
 * result, or the digest of the header that is gone. */
void tell_installed(struct session *s, const struct element *e, uint32_t instance);
void tell_failed(struct session *s, const struct element *e, int result);
void tell_removed(struct session *s, const struct element *e);

/* Says that the transaction is over. rpm then syncs its file systems, and the
 * daemon does so meanwhile; the answer is awaited at once only where it has
 * something to tell the user. */
void end(struct session *s);
/* Takes the answer to END, if one is due. */
void await_ack(struct session *s);

/* Forgets the transaction and closes what it holds. */
void forget(struct session *s);

#endif
