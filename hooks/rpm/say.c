// SPDX-License-Identifier: Apache-2.0
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

#include <rpm/rpmlog.h>

#include "wire.h"

/* Keeps a message from moving the terminal's cursor. */
static void flatten(char *s)
{
    for (unsigned char *c = (unsigned char *)s; *c; c++)
        if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
            *c = '?';
}

void say(const struct options *o, int level, const char *fmt, ...)
{
    char line[MAX_STRING + 64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    flatten(line);
    rpmlog(level, "%s\n", line);
    if (o->to_stderr)
        fprintf(stderr, "%s\n", line);
}
