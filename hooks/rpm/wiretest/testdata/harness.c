// SPDX-License-Identifier: Apache-2.0
/*
 * harness reads frames from its input through the plugin's own link and parser,
 * and prints a line for each: what it understood, or "bad". A length of four
 * bytes stands before each frame, so that a frame whose own length is wrong can
 * be given, too. Run with an argument it prints the table of wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../link.h"
#include "../../wait.h"

static FILE *out;

static void hex(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%02x", ((const unsigned char *)p)[i]);
}

static void show(void *to, int level, struct text text)
{
    (void)to;
    fprintf(out, " note %d:", level);
    hex(text.p, (size_t)text.len);
}

static bool understand(struct reply r)
{
    switch (r.type) {
    case MSG_VERDICT:
        fprintf(out, "verdict %d", (int)parse_verdict(&r));
        break;
    case MSG_LIST: {
        struct list list = parse_list(&r);
        struct file_signature s = { 0 };
        fprintf(out, "list %u %d ", list.element, (int)list.decision);
        hex(list.name.p, (size_t)list.name.len);
        for (uint32_t i = 0; i < list.nsignatures && !r.bad; i++) {
            s = next_signature(&r, i > 0 ? &s : NULL);
            fprintf(out, " %u:", s.file);
            hex(s.p, s.len);
        }
        break;
    }
    case MSG_ACK:
        fprintf(out, "ack");
        break;
    case MSG_ERROR: {
        struct text text = get_text(&r, MAX_STRING);
        fprintf(out, "error ");
        hex(text.p, (size_t)text.len);
        return !r.bad && r.p == r.end;
    }
    default:
        return false;
    }
    return parse_notes(&r, show, NULL);
}

/* Sends a frame in pieces from another process: it may exceed the socket's room. */
static void feed(int fd, const uint8_t *p, size_t n)
{
    for (size_t at = 0, step = 3; at < n; at += step, step = 5000) {
        if (step > n - at)
            step = n - at;
        if (send(fd, p + at, step, MSG_NOSIGNAL) != (ssize_t)step)
            break;
    }
}

static void answer(const uint8_t *frame, size_t n)
{
    enum { FITS_SOCKET = 64 << 10 };
    int pair[2];
    pid_t child = -1;
    struct reply r;
    char *line = NULL;
    size_t len;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        exit(1);
    if (n > FITS_SOCKET)
        child = fork();
    if (child <= 0)
        feed(pair[1], frame, n);
    if (child == 0)
        _exit(0);
    close(pair[1]);
    struct link l = { .fd = pair[0], .state = LINK_OPEN, .budget_ms = 10000 };
    out = open_memstream(&line, &len);
    bool sound = link_receive(&l, &r, link_deadline()) && understand(r);
    fclose(out);
    puts(sound ? line : "bad");
    fflush(stdout);
    free(line);
    link_free(&l);
    if (child > 0)
        waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
    uint8_t be[4];
    (void)argv;
    if (argc > 1) {
        for (int s = 0; s < WAIT_STATES; s++)
            for (int e = 0; e < WAIT_EVENTS; e++)
                printf("%d%c", (int)wait_step((enum wait_state)s, (enum wait_event)e), e + 1 < WAIT_EVENTS ? ' ' : '\n');
        return 0;
    }
    while (fread(be, 1, sizeof be, stdin) == sizeof be) {
        size_t n = (size_t)be[0] << 24 | (size_t)be[1] << 16 | (size_t)be[2] << 8 | be[3];
        uint8_t *frame = malloc(n + 1);
        if (!frame || fread(frame, 1, n, stdin) != n)
            return 1;
        answer(frame, n);
        free(frame);
    }
    return 0;
}
