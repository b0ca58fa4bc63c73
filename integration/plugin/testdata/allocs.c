// SPDX-License-Identifier: Apache-2.0
/* Preloaded into rpm: writes how often memory was asked for to ALLOCS_LOG. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static atomic_long count;
static int log_fd = -1;

/* rpm is in its root when it ends, or has been. */
__attribute__((constructor)) static void start(void)
{
    log_fd = open(getenv("ALLOCS_LOG"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

__attribute__((destructor)) static void finish(void)
{
    dprintf(log_fd, "%ld\n", atomic_load(&count));
}

void *malloc(size_t n)
{
    atomic_fetch_add(&count, 1);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    atomic_fetch_add(&count, 1);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    atomic_fetch_add(&count, 1);
    return __libc_realloc(p, n);
}
