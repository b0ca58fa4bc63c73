// SPDX-License-Identifier: Apache-2.0
/*
 * label binds files to digest lists (security.digest_list) and signs them
 * (security.ima).
 */
#ifndef DIGESTD_LABEL_H
#define DIGESTD_LABEL_H

#include "elements.h"

/* A file on its way to its name. */
struct target {
    int fd;           /* -1: only the path counts */
    const char *path; /* NULL: only the descriptor counts */
    uint32_t file;    /* rpmfiFX */
    bool fresh;       /* a new inode, which has no label yet */
};

/* Labels and signs a file of an announced element. It returns -1 with errno set. */
int label_file(const struct element *e, const struct target *file);

#endif
