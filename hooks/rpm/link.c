// SPDX-License-Identifier: Apache-2.0
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { EXCHANGE_MS = 10 * 1000 };

bool link_dial(struct link *l, const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    if (n >= sizeof a.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(a.sun_path, path, n);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&a, sizeof a) < 0)
        return false;
    l->state = LINK_OPEN;
    return true;
}

void link_hang_up(struct link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->state = LINK_CLOSED;
    l->outbox.len = 0;
}

void link_free(struct link *l)
{
    link_hang_up(l);
    free(l->in);
    free(l->outbox.p);
    l->in = NULL;
    l->outbox = (struct buf){ 0 };
}

int64_t link_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t link_deadline(void)
{
    return link_now() + EXCHANGE_MS;
}

static bool await(struct link *l, short events, int64_t deadline)
{
    struct pollfd p = { .fd = l->fd, .events = events };
    for (;;) {
        int64_t start = link_now();
        int64_t left = deadline - start < l->budget_ms ? deadline - start : l->budget_ms;
        if (left <= 0) {
            errno = ETIMEDOUT;
            return false;
        }
        int n = poll(&p, 1, (int)left);
        l->budget_ms -= (int)(link_now() - start);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

static bool transmit(struct link *l, struct iovec *iov, size_t n, int64_t deadline)
{
    while (n > 0) {
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
        ssize_t sent = sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN || !await(l, POLLOUT, deadline))
                return false;
            continue;
        }
        for (; n > 0 && (size_t)sent >= iov->iov_len; iov++, n--)
            sent -= (ssize_t)iov->iov_len;
        if (n > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + sent;
            iov->iov_len -= (size_t)sent;
        }
    }
    return true;
}

bool link_send(struct link *l, const struct iovec *frame, size_t n, int64_t deadline)
{
    struct iovec iov[1 + LINK_PIECES] = { { .iov_base = l->outbox.p, .iov_len = l->outbox.len } };
    if (l->outbox.failed || n > LINK_PIECES) {
        errno = ENOMEM;
        return false;
    }
    for (size_t i = 0; i < n; i++)
        iov[1 + i] = frame[i];
    bool sent = transmit(l, iov, 1 + n, deadline);
    l->outbox.len = 0;
    return sent;
}

static bool make_room(struct link *l, size_t have)
{
    if (have < l->in_cap)
        return true;
    size_t cap = l->in_cap ? 2 * l->in_cap : 4096;
    uint8_t *p = realloc(l->in, cap);
    if (!p)
        return false;
    l->in = p;
    l->in_cap = cap;
    return true;
}

bool link_receive(struct link *l, struct reply *r, int64_t deadline)
{
    size_t have = 0, want = FRAME_HEADER;
    while (have < want) {
        if (!make_room(l, have) || !await(l, POLLIN, deadline))
            return false;
        ssize_t n = recv(l->fd, l->in + have, l->in_cap - have, MSG_DONTWAIT);
        if (n < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return false;
        }
        if (n == 0) {
            errno = ECONNRESET;
            return false;
        }
        have += (size_t)n;
        if (have < FRAME_HEADER)
            continue;
        size_t length;
        bool sound = parse_frame_header(l->in, r, &length);
        want = FRAME_HEADER + length;
        if (!sound || have > want) {
            errno = EPROTO;
            return false;
        }
    }
    r->p = l->in + FRAME_HEADER;
    r->end = l->in + want;
    return true;
}

bool link_has_news(const struct link *l)
{
    struct pollfd p = { .fd = l->fd, .events = POLLIN };
    return poll(&p, 1, 0) != 0;
}
