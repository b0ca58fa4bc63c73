// SPDX-License-Identifier: Apache-2.0
/*
 * say prints messages for people, by rpm's log.
 */
#ifndef DIGESTD_SAY_H
#define DIGESTD_SAY_H

#include "options.h"

/* Prints one line; level is one of rpm's (RPMLOG_WARNING). Control characters
 * are replaced: names and reasons come from elsewhere. */
__attribute__((format(printf, 3, 4)))
void say(const struct options *o, int level, const char *fmt, ...);

#endif
