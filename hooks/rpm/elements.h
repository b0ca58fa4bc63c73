// SPDX-License-Identifier: Apache-2.0
/*
 * elements is the table of a transaction's elements, with what the daemon
 * answered about each.
 */
#ifndef DIGESTD_ELEMENTS_H
#define DIGESTD_ELEMENTS_H

#include <rpm/rpmte.h>
#include <rpm/rpmts.h>

#include "wire.h"

/* What became of an element. rpm before 6.1 runs its hooks for script stages
 * too, so each step is remembered and taken once. */
enum progress { UNSEEN, ASKED, ANNOUNCED, REFUSED, DONE };

/* What goes into security.ima of one file. */
struct signature {
    uint32_t file;  /* rpmfiFX */
    uint32_t at, n; /* in the element's bytes */
};

struct element {
    rpmte te;
    enum progress progress;
    char *list; /* label for its files; NULL with ANNOUNCED: none */
    struct signature *signatures; /* by file */
    uint32_t nsignatures;
    uint8_t *bytes;
};

struct elements {
    struct element *all;
    uint32_t n;
    uint32_t *slots; /* open addressing by rpmte: index + 1, 0 is free */
    uint32_t mask;
};

/* Enters the elements of ts. It returns false with errno set. */
bool elements_learn(struct elements *t, rpmts ts);
void elements_forget(struct elements *t);
/* Returns NULL for an element that the table does not have. */
struct element *elements_find(const struct elements *t, rpmte te);
uint32_t elements_index(const struct elements *t, const struct element *e);

/* Counts the files of te that rpm labels one by one: regular, and with a single
 * name. rpm may skip some of them, which cannot be foreseen. */
uint32_t element_files(rpmte te);

/* Sets the label of its files to the n bytes at name, or to none if name is NULL.
 * It returns false if memory is short. */
bool element_name_list(struct element *e, const char *name, size_t n);
/* Takes over the n signatures that come next in r. It returns false if memory
 * is short; r shows whether they are sound. */
bool element_keep_signatures(struct element *e, uint32_t n, struct reply *r);
void element_forget_signatures(struct element *e);
/* Returns NULL if the file has no signature. */
const struct signature *element_signature(const struct element *e, uint32_t file);

#endif
