// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include <rpm/rpmlog.h>
#include <rpm/rpmmacro.h>

#include "say.h"

enum { DEFAULT_BUDGET_MS = 30 * 1000, MAX_BUDGET_S = 3600 };
static const char default_socket[] = "/run/digestd/hook.sock";

/* dnf5, whatever link it was started by, sends rpm's log to a file only, where
 * nobody would see why a package was refused. */
static bool log_is_hidden(void)
{
    const char *started = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    char *program = started ? realpath(started, NULL) : NULL;
    const char *base = program ? strrchr(program, '/') : NULL;
    bool hidden = base && strncmp(base + 1, "dnf5", 4) == 0;
    free(program);
    return hidden;
}

static const char *value_of(const char *option, const char *name)
{
    size_t n = strlen(name);
    return strncmp(option, name, n) == 0 && option[n] == '=' ? option + n + 1 : NULL;
}

static void set(struct options *o, const char *option)
{
    const char *value;
    if ((value = value_of(option, "socket")) && strlen(value) < sizeof o->socket) {
        memset(o->socket, 0, sizeof o->socket);
        memcpy(o->socket, value, strlen(value));
    } else if ((value = value_of(option, "timeout")) && atoi(value) > 0 && atoi(value) <= MAX_BUDGET_S) {
        o->timeout_ms = atoi(value) * 1000;
    } else if (strcmp(option, "on-unreachable=proceed") == 0) {
        o->unreachable = GO_ON_WITHOUT;
    } else if (strcmp(option, "on-unreachable=refuse") == 0) {
        o->unreachable = REFUSE_WITHOUT;
    } else {
        say(o, RPMLOG_WARNING, "digestd: ignored option %s in %%__transaction_digestd: it is unknown, or its value is wrong",
            option);
    }
}

void options_read(struct options *o, const char *opts)
{
    char *copy = strdup(opts ? opts : ""), *rest;
    *o = (struct options){ .timeout_ms = DEFAULT_BUDGET_MS, .to_stderr = log_is_hidden() };
    memcpy(o->socket, default_socket, sizeof default_socket);
    for (char *word = copy ? strtok_r(copy, " \t", &rest) : NULL; word; word = strtok_r(NULL, " \t", &rest))
        set(o, word);
    free(copy);
}

bool options_refuse(const struct options *o)
{
    if (o->unreachable != BY_MACRO)
        return o->unreachable == REFUSE_WITHOUT;
    char *value = rpmExpand("%{?_digestd_on_unreachable}", NULL);
    bool refuse = *value && strcmp(value, "proceed") != 0;
    if (refuse && strcmp(value, "refuse") != 0)
        say(o, RPMLOG_WARNING, "digestd: %%_digestd_on_unreachable is %s, neither proceed nor refuse: using refuse", value);
    free(value);
    return refuse;
}
