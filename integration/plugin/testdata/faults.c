// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into rpm: every call that sets an attribute leaves a line in the
 * file that FAULTS_LOG names, and fails with FAULTS_ERRNO if that is not 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int log_fd = -1, fault;

__attribute__((constructor)) static void start(void)
{
    log_fd = open(getenv("FAULTS_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    fault = atoi(getenv("FAULTS_ERRNO"));
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
    int (*real)(int, const char *, const void *, size_t, int) = dlsym(RTLD_NEXT, "fsetxattr");
    dprintf(log_fd, "%s %.*s\n", name, (int)size, (const char *)value);
    if (fault) {
        errno = fault;
        return -1;
    }
    return real(fd, name, value, size, flags);
}

int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
    int (*real)(const char *, const char *, const void *, size_t, int) = dlsym(RTLD_NEXT, "lsetxattr");
    dprintf(log_fd, "%s %.*s\n", name, (int)size, (const char *)value);
    if (fault) {
        errno = fault;
        return -1;
    }
    return real(path, name, value, size, flags);
}
