// SPDX-License-Identifier: Apache-2.0
/*
 * options reads what an administrator has set for the plugin: the words after
 * its path in %__transaction_digestd, and %_digestd_on_unreachable.
 */
#ifndef DIGESTD_OPTIONS_H
#define DIGESTD_OPTIONS_H

#include <stdbool.h>
#include <sys/un.h>

struct options {
    char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int timeout_ms; /* budget for all waiting in one transaction */
    enum { BY_MACRO, GO_ON_WITHOUT, REFUSE_WITHOUT } unreachable;
    bool to_stderr; /* the program hides rpm's log from people */
};

/* Reads the words of opts, which may be NULL. An unknown one is reported. */
void options_read(struct options *o, const char *opts);

/* Reports whether packages are refused when the daemon does not answer. */
bool options_refuse(const struct options *o);

#endif
