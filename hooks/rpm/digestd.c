// SPDX-License-Identifier: Apache-2.0
/*
 * Plugin for librpm: tells the daemon what a transaction is about to do and has
 * done, and labels the files that it unpacks with the name of their digest list
 * (docs/protocol.md, security.digest_list) and, where the daemon sends one, with
 * a signature (security.ima).
 *
 * It promises never to keep rpm waiting beyond its budget, never to fail a
 * transaction but by the daemon's word or the administrator's (on-unreachable),
 * and to work where rpm runs its hooks: the connection is made outside any
 * chroot and kept. It leaves every decision to the daemon.
 *
 * Options, after the path in %__transaction_digestd:
 *   socket=PATH               where the daemon listens
 *   on-unreachable=proceed    what to do when it does not answer; or refuse.
 *                             Without it %_digestd_on_unreachable decides.
 *   timeout=SECONDS           budget for all waiting in one transaction
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <rpm/header.h>
#include <rpm/rpmbase64.h>
#include <rpm/rpmcrypto.h>
#include <rpm/rpmfi.h>
#include <rpm/rpmlib.h>
#include <rpm/rpmlog.h>
#include <rpm/rpmmacro.h>
#include <rpm/rpmte.h>
#include <rpm/rpmts.h>

#if __has_include(<rpm/rpmplugin.h>)
#include <rpm/rpmplugin.h>
#else
/* rpm before 4.20 has the interface, but keeps its header to itself. */
typedef rpmFlags rpmFsmOp;
#define XFO_ACTION(op) ((op) & 0xffff)

struct rpmPluginHooks_s {
    rpmRC (*init)(rpmPlugin, rpmts);
    void (*cleanup)(rpmPlugin);
    rpmRC (*tsm_pre)(rpmPlugin, rpmts);
    rpmRC (*tsm_post)(rpmPlugin, rpmts, int);
    rpmRC (*psm_pre)(rpmPlugin, rpmte);
    rpmRC (*psm_post)(rpmPlugin, rpmte, int);
    rpmRC (*scriptlet_pre)(rpmPlugin, const char *, int);
    rpmRC (*scriptlet_fork_post)(rpmPlugin, const char *, int);
    rpmRC (*scriptlet_post)(rpmPlugin, const char *, int, int);
    rpmRC (*fsm_file_pre)(rpmPlugin, rpmfi, const char *, mode_t, rpmFsmOp);
    rpmRC (*fsm_file_post)(rpmPlugin, rpmfi, const char *, mode_t, rpmFsmOp, int);
    rpmRC (*fsm_file_prepare)(rpmPlugin, rpmfi, int, const char *, const char *, mode_t, rpmFsmOp);
};
const char *rpmPluginOpts(rpmPlugin plugin);
void rpmPluginSetData(rpmPlugin plugin, void *data);
void *rpmPluginGetData(rpmPlugin plugin);
#endif

#define PLUGIN "rpm-plugin-digestd 1"
#define DEFAULT_SOCKET "/run/digestd/hook.sock"
#define DEFAULT_BUDGET_MS (30 * 1000)
#define EXCHANGE_MS (10 * 1000)
#define LABEL "security.digest_list"
#define SIGNATURE "security.ima"
#define TAG_OPENPGP 278 /* RPMTAG_OPENPGP, unknown to rpm before 4.20 */

enum { MSG_BEGIN = 1, MSG_HEADER, MSG_INSTALLED, MSG_FAILED, MSG_REMOVED, MSG_END,
       MSG_VERDICT = 0x81, MSG_LIST, MSG_ACK, MSG_ERROR = 0xff };
enum { PROCEED, REFUSE, NOT_MANAGED, ASSURED }; /* in a VERDICT */
enum { LIST_NAMED, NO_LIST, LIST_REFUSED };     /* in a LIST */

enum { FRAME_HEADER = 8, MAX_CONTROL = 64 << 10, MAX_BEGIN = 16 << 20, MAX_HEADER = 64 << 20,
       MAX_SIGNATURES = 1 << 20, MAX_STRING = 4096, MAX_NAME = 255, MAX_ELEMENTS = 200000,
       MAX_LIST = 8 << 20, MAX_FILE_SIGNATURE = 1024,
       MAX_OUTBOX = 32 << 10, MAX_WAITING = 64 };

/* What became of an element. rpm before 6.1 runs its hooks for script stages
 * too, so each step is remembered and taken once. */
enum progress { UNSEEN, ASKED, ANNOUNCED, REFUSED, DONE };

/* What goes into security.ima of one file. */
struct signature {
    uint32_t file; /* rpmfiFX */
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

/* A file that rpm has written and not yet given its name, whose list the daemon
 * has still to name. */
struct waiting {
    int fd;        /* our own */
    uint32_t file; /* rpmfiFX */
    char *name;    /* for people */
};

struct buf {
    uint8_t *p;
    size_t len, cap;
    bool failed;
};

enum link {
    SILENT, /* nothing to say, or no longer */
    OPEN,
    LOST    /* the daemon does not answer */
};

struct session {
    /* options */
    char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int timeout_ms;
    int refuse_option; /* -1: the macro decides */
    bool to_stderr;    /* the program hides rpm's log from people */

    /* one transaction */
    enum link link;
    int fd;
    int budget_ms;
    bool refuse;        /* when unreachable */
    bool test;
    bool db_only;       /* no file is touched */
    bool label_warned;
    struct element *elements;
    uint32_t n;
    uint32_t *slots;    /* open addressing by rpmte: index + 1, 0 is free */
    uint32_t mask;
    struct element *current; /* whose files are being unpacked */
    struct element *asked;   /* whose list the daemon has still to name */
    bool unlisted;           /* a package with files got no list */
    bool ending;             /* the answer to END is due */
    bool late;               /* no answer can stop a package: files need not wait for it */
    uint32_t to_come;        /* files of the one asked about that rpm may still write */
    struct waiting waiting[MAX_WAITING];
    uint32_t nwaiting;
    struct buf outbox;       /* frames that can wait for the next one */

    uint8_t *in; /* the last frame received; grows with what arrives */
    size_t in_cap;
};

/* ---- messages for people ---- */

/* One line: what came from elsewhere must not move the terminal's cursor. */
static void flatten(char *s)
{
    for (unsigned char *c = (unsigned char *)s; *c; c++)
        if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
            *c = '?';
}

__attribute__((format(printf, 3, 4)))
static void say(const struct session *s, int level, const char *fmt, ...)
{
    char line[MAX_STRING + 64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    flatten(line);
    rpmlog(level, "%s\n", line);
    if (s->to_stderr)
        fprintf(stderr, "%s\n", line);
}

/* dnf5, by whatever link it was started, sends rpm's log to a file only; a
 * reason nobody sees helps nobody. */
static bool log_is_hidden(void)
{
    const char *started = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    char *program = started ? realpath(started, NULL) : NULL;
    const char *base = program ? strrchr(program, '/') : NULL;
    bool hidden = base && strncmp(base + 1, "dnf5", 4) == 0;
    free(program);
    return hidden;
}

/* ---- growable buffer for what is sent ---- */

static void put(struct buf *b, const void *data, size_t n)
{
    if (b->failed)
        return;
    if (b->cap - b->len < n) {
        size_t cap = b->cap ? b->cap : 512;
        while (cap - b->len < n)
            cap *= 2;
        uint8_t *p = realloc(b->p, cap);
        if (!p) {
            b->failed = true;
            return;
        }
        b->p = p;
        b->cap = cap;
    }
    if (n)
        memcpy(b->p + b->len, data, n);
    b->len += n;
}

static void put_uint(struct buf *b, uint64_t v, int bytes)
{
    uint8_t be[8];
    for (int i = bytes; i-- > 0; v >>= 8)
        be[i] = (uint8_t)v;
    put(b, be, (size_t)bytes);
}

static void put_bytes(struct buf *b, const void *data, size_t n)
{
    put_uint(b, n, 4);
    put(b, data, n);
}

/* A string beyond the limit is cut: such a name is nobody's, and the daemon says so. */
static void put_str(struct buf *b, const char *str)
{
    put_bytes(b, str ? str : "", str ? strnlen(str, MAX_STRING) : 0);
}

static void start_frame(struct buf *b, int type)
{
    const uint8_t head[FRAME_HEADER] = { 1, (uint8_t)type };
    put(b, head, sizeof head);
}

/* Fills in the length of a frame whose payload is in b, and then extra bytes. */
static void end_frame(struct buf *b, size_t extra)
{
    size_t n = b->len - FRAME_HEADER + extra;
    if (!b->failed)
        for (int i = 0; i < 4; i++)
            b->p[4 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* ---- what was received ---- */

struct reply {
    int type;
    const uint8_t *p, *end;
    bool bad;
};

static const uint8_t *get(struct reply *r, size_t n)
{
    static const uint8_t zeros[4];
    if (r->bad || (size_t)(r->end - r->p) < n) {
        r->bad = true;
        return n <= sizeof zeros ? zeros : NULL;
    }
    r->p += n;
    return r->p - n;
}

static uint32_t get_uint(struct reply *r, int bytes)
{
    uint32_t v = 0;
    const uint8_t *p = get(r, (size_t)bytes);
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static const char *get_str(struct reply *r, size_t limit, int *len)
{
    size_t n = get_uint(r, 4);
    if (n > limit)
        r->bad = true;
    const uint8_t *p = r->bad ? NULL : get(r, n);
    *len = r->bad ? 0 : (int)n;
    return r->bad ? "" : (const char *)p;
}

/* Reads the messages that end a reply. They are shown only once all of them
 * proved sound, and in a test run only the reasons for a refusal are. */
static bool finish(struct session *s, struct reply *r)
{
    static const int levels[] = { RPMLOG_NOTICE, RPMLOG_WARNING, RPMLOG_ERR };
    const struct reply notes = *r;
    for (int show = 0; show < 2; show++) {
        *r = notes;
        for (uint32_t n = get_uint(r, 2); n > 0 && !r->bad; n--) {
            int len;
            uint32_t level = get_uint(r, 1);
            const char *text = get_str(r, MAX_STRING, &len);
            if (level > 2)
                r->bad = true;
            else if (show && (!s->test || level == 2))
                say(s, levels[level], "%.*s", len, text);
        }
        if (r->bad || r->p != r->end)
            return false;
    }
    return true;
}

/* ---- connection ---- */

static void hang_up(struct session *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->link = SILENT;
    s->outbox.len = 0;
}

/* The daemon is gone: from now on nothing is sent and nothing waited for. */
static void lose(struct session *s, const char *why)
{
    hang_up(s);
    s->link = LOST;
    if (s->refuse)
        say(s, RPMLOG_ERR, "digestd: no answer at %s: %s; refusing to install until it is running "
            "(systemctl start digestd), or with _digestd_on_unreachable set to proceed",
            s->socket, why);
    else if (!s->test)
        say(s, RPMLOG_WARNING, "digestd: no answer at %s: %s; going on, digest lists follow when it is back",
            s->socket, why);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for events until the exchange's deadline, on the transaction's budget. */
static bool await(struct session *s, short events, int64_t deadline)
{
    struct pollfd p = { .fd = s->fd, .events = events };
    for (;;) {
        int64_t start = now_ms();
        int64_t left = deadline - start < s->budget_ms ? deadline - start : s->budget_ms;
        if (left <= 0) {
            errno = ETIMEDOUT;
            return false;
        }
        int n = poll(&p, 1, (int)left);
        s->budget_ms -= (int)(now_ms() - start);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

static bool transmit(struct session *s, struct iovec *iov, size_t n, int64_t deadline)
{
    while (n > 0) {
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
        ssize_t sent = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN || !await(s, POLLOUT, deadline))
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

static bool make_room(struct session *s, size_t have)
{
    if (have < s->in_cap)
        return true;
    size_t cap = s->in_cap ? 2 * s->in_cap : 4096;
    uint8_t *p = realloc(s->in, cap);
    if (!p)
        return false;
    s->in = p;
    s->in_cap = cap;
    return true;
}

/* Reads one frame. Nothing may follow it: the daemon speaks only when asked. */
static bool receive(struct session *s, struct reply *r, int64_t deadline)
{
    size_t have = 0, want = FRAME_HEADER;
    while (have < want) {
        if (!make_room(s, have) || !await(s, POLLIN, deadline))
            return false;
        ssize_t n = recv(s->fd, s->in + have, s->in_cap - have, MSG_DONTWAIT);
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
        struct reply head = { .p = s->in + 4, .end = s->in + FRAME_HEADER };
        size_t length = get_uint(&head, 4);
        want = FRAME_HEADER + length;
        size_t limit = s->in[1] == MSG_LIST ? MAX_LIST : MAX_CONTROL;
        if (s->in[0] != 1 || s->in[2] || s->in[3] || length > limit || have > want) {
            errno = EPROTO;
            return false;
        }
    }
    *r = (struct reply){ .type = s->in[1], .p = s->in + FRAME_HEADER, .end = s->in + want };
    return true;
}

/* Waits for a reply of the type expect. Failure means the daemon is lost, and
 * has been said. */
static bool await_reply(struct session *s, int expect, struct reply *r, int64_t deadline)
{
    if (!receive(s, r, deadline)) {
        lose(s, strerror(errno));
        return false;
    }
    if (r->type == MSG_ERROR) {
        int len;
        char why[512];
        const char *text = get_str(r, MAX_STRING, &len);
        snprintf(why, sizeof why, "%.*s", len, text);
        lose(s, r->bad ? strerror(EPROTO) : why);
        return false;
    }
    if (r->type != expect) {
        lose(s, strerror(EPROTO));
        return false;
    }
    return true;
}

/* Sends what is in the outbox and a frame whose start is in b and, unless expect
 * is 0, waits for the reply of that type. Failure is that of await_reply. */
static bool exchange(struct session *s, struct buf *b, struct iovec *more, size_t nmore,
                     int expect, struct reply *r)
{
    struct iovec iov[4] = { { .iov_base = s->outbox.p, .iov_len = s->outbox.len },
                            { .iov_base = b->p, .iov_len = b->len } };
    int64_t deadline = now_ms() + EXCHANGE_MS;

    if (b->failed || s->outbox.failed) {
        lose(s, strerror(ENOMEM));
        return false;
    }
    for (size_t i = 0; i < nmore; i++)
        iov[2 + i] = more[i];
    /* Who closes its end may have said why. */
    bool closed = !transmit(s, iov, 2 + nmore, deadline);
    s->outbox.len = 0;
    if (closed && errno != EPIPE && errno != ECONNRESET) {
        lose(s, strerror(errno));
        return false;
    }
    if (!closed && !expect)
        return true;
    return await_reply(s, expect, r, deadline);
}

/* Connects without waiting: a socket that cannot take us at once is no answer. */
static bool dial(struct session *s)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    memcpy(a.sun_path, s->socket, sizeof a.sun_path);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&a, sizeof a) < 0) {
        lose(s, strerror(errno));
        return false;
    }
    s->link = OPEN;
    return true;
}

/* ---- elements ---- */

static uint32_t slot_of(const struct session *s, rpmte te)
{
    uint64_t h = (uint64_t)(uintptr_t)te * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(h >> 32) & s->mask;
    while (s->slots[i] && s->elements[s->slots[i] - 1].te != te)
        i = (i + 1) & s->mask;
    return i;
}

static struct element *find(const struct session *s, rpmte te)
{
    if (!s->slots)
        return NULL;
    uint32_t index = s->slots[slot_of(s, te)];
    return index ? &s->elements[index - 1] : NULL;
}

static uint32_t index_of(const struct session *s, const struct element *e)
{
    return (uint32_t)(e - s->elements);
}

static void forget_signatures(struct element *e)
{
    free(e->signatures);
    free(e->bytes);
    e->signatures = NULL;
    e->bytes = NULL;
    e->nsignatures = 0;
}

static void forget_waiting(struct session *s)
{
    for (uint32_t i = 0; i < s->nwaiting; i++) {
        close(s->waiting[i].fd);
        free(s->waiting[i].name);
    }
    s->nwaiting = 0;
}

static void forget_elements(struct session *s)
{
    forget_waiting(s);
    for (uint32_t i = 0; i < s->n; i++) {
        free(s->elements[i].list);
        forget_signatures(&s->elements[i]);
    }
    free(s->elements);
    free(s->slots);
    s->elements = NULL;
    s->slots = NULL;
    s->current = NULL;
    s->n = 0;
}

static bool learn_elements(struct session *s, rpmts ts)
{
    int n = rpmtsNElements(ts);
    uint32_t size = 16;
    if (n < 0 || n > MAX_ELEMENTS) {
        errno = E2BIG;
        return false;
    }
    while (size < 2 * (uint32_t)n)
        size *= 2;
    s->mask = size - 1;
    s->slots = calloc(size, sizeof *s->slots);
    s->elements = calloc((size_t)n + 1, sizeof *s->elements);
    if (!s->slots || !s->elements)
        return false;
    for (int i = 0; i < n; i++) {
        rpmte te = rpmtsElement(ts, i);
        s->elements[s->n++].te = te;
        s->slots[slot_of(s, te)] = s->n;
    }
    return true;
}

/* Counts files that rpm labels one by one: regular, and with no other name. It
 * may skip some of them, which only rpm knows. */
static uint32_t count_files(rpmte te)
{
    rpmfiles files = rpmteFiles(te);
    uint32_t n = 0;
    for (int i = 0, all = rpmfilesFC(files); i < all; i++)
        n += S_ISREG(rpmfilesFMode(files, i)) && !(rpmfilesFFlags(files, i) & RPMFILE_GHOST) && rpmfilesFNlink(files, i) == 1;
    rpmfilesFree(files);
    return n;
}

/* ---- messages to the daemon ---- */

static void put_identity(struct buf *b, const char *path)
{
    struct stat st;
    bool known = stat(path, &st) == 0;
    put_uint(b, known ? st.st_dev : 0, 8);
    put_uint(b, known ? st.st_ino : 0, 8);
}

static void put_element(struct buf *b, rpmte te)
{
    put_uint(b, (uint64_t)rpmteType(te), 1);
    put_uint(b, 0, 1);
    put_uint(b, rpmteDBInstance(te), 4);
    put_str(b, rpmteN(te));
    put_str(b, rpmteE(te));
    put_str(b, rpmteV(te));
    put_str(b, rpmteR(te));
    put_str(b, rpmteA(te));
}

/* Asks about the whole transaction. Only the daemon's refusal fails here. */
static rpmRC begin(struct session *s, rpmts ts)
{
    const char *root = rpmtsRootDir(ts);
    char *dbpath = rpmExpand("%{?_dbpath}", NULL);
    char *dbdir = NULL;
    struct buf b = { 0 };
    struct reply r;
    rpmRC rc = RPMRC_OK;

    if (!root || !*root)
        root = "/";
    if (asprintf(&dbdir, "%s/%s", root, dbpath) < 0)
        dbdir = NULL;
    start_frame(&b, MSG_BEGIN);
    put_str(&b, PLUGIN);
    put_str(&b, RPMVERSION);
    put_str(&b, root);
    put_identity(&b, root);
    put_str(&b, dbpath);
    put_identity(&b, dbdir ? dbdir : "");
    put_uint(&b, rpmtsFlags(ts), 4);
    put_uint(&b, rpmtsGetTid(ts), 4);
    put_uint(&b, s->n, 4);
    for (uint32_t i = 0; i < s->n; i++)
        put_element(&b, s->elements[i].te);
    end_frame(&b, 0);
    free(dbpath);
    free(dbdir);

    if (b.len > FRAME_HEADER + MAX_BEGIN) {
        lose(s, strerror(E2BIG));
    } else if (exchange(s, &b, NULL, 0, MSG_VERDICT, &r)) {
        uint32_t decision = get_uint(&r, 1);
        bool mute = r.end - r.p == 2; /* no messages, only their count */
        if (!finish(s, &r) || decision > ASSURED) {
            lose(s, strerror(EPROTO));
        } else if (decision == REFUSE) {
            if (mute)
                say(s, RPMLOG_ERR, "digestd: transaction refused, without a reason");
            rc = RPMRC_FAIL;
        }
        /* Whoever rather refuses than goes without an answer has to wait for each. */
        s->late = decision == ASSURED && !s->refuse;
        if (decision != PROCEED && decision != ASSURED && s->link == OPEN)
            hang_up(s);
    }
    free(b.p);
    return s->link == LOST && s->refuse ? RPMRC_FAIL : rc;
}

/* Appends the signatures over the header alone, in binary whatever their tag. */
static void put_signatures(struct buf *b, Header h)
{
    static const rpmTagVal binary[] = { RPMTAG_RSAHEADER, RPMTAG_DSAHEADER };
    size_t count_at = b->len;
    uint16_t n = 0;
    struct rpmtd_s td;

    put_uint(b, 0, 2);
    for (size_t i = 0; h && i < sizeof binary / sizeof *binary; i++) {
        if (!headerGet(h, binary[i], &td, HEADERGET_MINMEM))
            continue;
        if (rpmtdType(&td) == RPM_BIN_TYPE) {
            put_uint(b, (uint64_t)binary[i], 4);
            put_bytes(b, td.data, td.count);
            n++;
        }
        rpmtdFreeData(&td);
    }
    if (h && headerGet(h, TAG_OPENPGP, &td, HEADERGET_MINMEM)) {
        const char *text;
        void *sig;
        size_t len;
        while (n < UINT16_MAX && (text = rpmtdNextString(&td)) != NULL) {
            put_uint(b, TAG_OPENPGP, 4);
            if (rpmBase64Decode(text, &sig, &len) == 0) {
                put_bytes(b, sig, len);
                free(sig);
            } else {
                put_bytes(b, text, strlen(text)); /* for the daemon to refuse */
            }
            n++;
        }
        rpmtdFreeData(&td);
    }
    if (!b->failed) {
        b->p[count_at] = (uint8_t)(n >> 8);
        b->p[count_at + 1] = (uint8_t)n;
    }
}

/* Hands the header over. The daemon works on the package's list while rpm goes
 * on; learn waits for it where rpm is about to use it. */
static void announce(struct session *s, struct element *e, Header h)
{
    struct rpmtd_s region;
    struct buf head = { 0 }, sigs = { 0 };
    struct reply r;

    rpmtdReset(&region);
    if (h)
        headerGet(h, RPMTAG_HEADERIMMUTABLE, &region, HEADERGET_MINMEM);
    put_signatures(&sigs, h);
    /* What exceeds a frame goes without, and gets no list. */
    if (sigs.len > MAX_SIGNATURES) {
        sigs.len = 0;
        put_signatures(&sigs, NULL);
    }
    size_t n = region.count;
    if (n > MAX_HEADER - 2 * MAX_SIGNATURES)
        n = 0;
    start_frame(&head, MSG_HEADER);
    put_uint(&head, index_of(s, e), 4);
    put_uint(&head, (uint64_t)rpmteType(e->te), 1);
    put_uint(&head, rpmteDBInstance(e->te), 4);
    put_uint(&head, n, 4);
    head.failed |= sigs.failed;
    end_frame(&head, n + sigs.len);
    struct iovec more[2] = { { .iov_base = region.data, .iov_len = n },
                             { .iov_base = sigs.p, .iov_len = sigs.len } };

    s->to_come = 0;
    if (exchange(s, &head, more, 2, 0, &r)) {
        e->progress = ASKED;
        s->asked = e;
    }
    free(head.p);
    free(sigs.p);
    rpmtdFreeData(&region);
}

/* Keeps the signatures of an element's files. What is wrong with them shows in r,
 * and a lack of memory in errno. */
static bool keep_signatures(struct element *e, struct reply *r)
{
    uint32_t n = get_uint(r, 4);
    size_t left = (size_t)(r->end - r->p);
    forget_signatures(e);
    if (n > left / 8)
        r->bad = true;
    if (r->bad || n == 0)
        return true;
    e->signatures = malloc(n * sizeof *e->signatures);
    e->bytes = malloc(left);
    if (!e->signatures || !e->bytes) {
        forget_signatures(e);
        return false;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        uint32_t file = get_uint(r, 4);
        uint32_t len = get_uint(r, 4);
        const uint8_t *value = len <= MAX_FILE_SIGNATURE ? get(r, len) : NULL;
        if (!value || r->bad || (i > 0 && file <= e->signatures[i - 1].file)) {
            r->bad = true;
            break;
        }
        e->signatures[i] = (struct signature){ .file = file, .at = at, .n = len };
        memcpy(e->bytes + at, value, len);
        at += len;
    }
    e->nsignatures = n;
    return true;
}

static const struct signature *signature_of(const struct element *e, uint32_t file)
{
    uint32_t low = 0, high = e->nsignatures;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (e->signatures[middle].file < file)
            low = middle + 1;
        else
            high = middle;
    }
    return low < e->nsignatures && e->signatures[low].file == file ? &e->signatures[low] : NULL;
}

/* ---- labels ---- */

/* Whether the file bears the label list already, or none if list is NULL. */
static bool labelled(int fd, const char *path, const char *list)
{
    char old[MAX_NAME + 2];
    ssize_t n = fd >= 0 ? fgetxattr(fd, LABEL, old, sizeof old) : lgetxattr(path, LABEL, old, sizeof old);
    if (!list)
        return n < 0 && (errno == ENODATA || errno == EOPNOTSUPP);
    if (n > 0 && old[n - 1] == '\0') /* as others write it */
        n--;
    return n >= 0 && (size_t)n == strlen(list) && memcmp(old, list, (size_t)n) == 0;
}

/* Binds a file to list, or to none. What rpm just wrote is a new inode, without
 * a label. On any other, setting one makes the kernel forget what it knows of the
 * file, so one that stands is left alone. */
static int label(int fd, const char *path, const char *list, bool fresh)
{
    if (fresh ? !list : labelled(fd, path, list))
        return 0;
    if (!list)
        return fd >= 0 ? fremovexattr(fd, LABEL) : lremovexattr(path, LABEL);
    return fd >= 0 ? fsetxattr(fd, LABEL, list, strlen(list), 0) : lsetxattr(path, LABEL, list, strlen(list), 0);
}

/* Signs a file. A signature that stands is that of the same content, or made
 * anew, so it is written without a look. */
static int sign(int fd, const char *path, const struct element *e, const struct signature *sig)
{
    const uint8_t *value = e->bytes + sig->at;
    return fd >= 0 ? fsetxattr(fd, SIGNATURE, value, sig->n, 0) : lsetxattr(path, SIGNATURE, value, sig->n, 0);
}

/* Labels and signs a file of an announced element. Without a path only the
 * descriptor counts. */
static void mark(struct session *s, const struct element *e, uint32_t file, int fd, const char *path,
                 const char *name, bool fresh)
{
    int rc = label(fd, path, e->list, fresh);
    /* A descriptor may be one that allows no attributes (O_PATH). */
    if (rc < 0 && errno == EBADF && path)
        rc = label(-1, path, e->list, fresh);
    const struct signature *sig = rc < 0 ? NULL : signature_of(e, file);
    if (sig && (rc = sign(fd, path, e, sig)) < 0 && errno == EBADF && path)
        rc = sign(-1, path, e, sig);
    if (rc < 0 && !s->label_warned) {
        s->label_warned = true;
        say(s, RPMLOG_WARNING, "digestd: cannot label %s, and maybe others: %s", name, strerror(errno));
    }
}

static bool answered(const struct session *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLIN };
    return poll(&p, 1, 0) != 0;
}

/* Puts a file off until its list is known, if it may: rpm must not be able to
 * give any file of the package its name before that. */
static bool put_off(struct session *s, uint32_t file, int fd, const char *name)
{
    enum { LOOK_EVERY = 4 };
    if (s->to_come == 0 || s->nwaiting == MAX_WAITING || (s->nwaiting % LOOK_EVERY == 0 && answered(s)))
        return false;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return false;
    s->waiting[s->nwaiting++] = (struct waiting){ .fd = own, .file = file, .name = strdup(name) };
    return true;
}

/* Labels what was put off, if there is a label for it. */
static void catch_up(struct session *s, const struct element *e)
{
    for (uint32_t i = 0; i < s->nwaiting; i++) {
        const struct waiting *w = &s->waiting[i];
        if (e->progress == ANNOUNCED)
            mark(s, e, w->file, w->fd, NULL, w->name ? w->name : rpmteNEVRA(e->te), true);
    }
    forget_waiting(s);
}

/* Learns the name of the list of the package that was announced last. It fails
 * when that package must not be installed. */
static rpmRC learn(struct session *s)
{
    struct element *e = s->asked;
    struct reply r;
    rpmRC rc = RPMRC_OK;

    if (!e)
        return RPMRC_OK;
    s->asked = NULL;
    e->progress = UNSEEN;
    if (await_reply(s, MSG_LIST, &r, now_ms() + EXCHANGE_MS)) {
        int len;
        uint32_t element = get_uint(&r, 4), decision = get_uint(&r, 1);
        const char *name = get_str(&r, MAX_NAME, &len);
        bool kept = keep_signatures(e, &r);
        bool mute = r.end - r.p == 2;
        if (element != index_of(s, e) || decision > LIST_REFUSED || (len > 0) != (decision == LIST_NAMED) ||
            memchr(name, '/', (size_t)len) || memchr(name, '\0', (size_t)len) || (kept && !finish(s, &r))) {
            forget_signatures(e);
            lose(s, strerror(EPROTO));
        } else if (!kept) {
            lose(s, strerror(ENOMEM));
        } else if (decision == LIST_REFUSED) {
            if (mute)
                say(s, RPMLOG_ERR, "digestd: %s refused, without a reason", rpmteNEVRA(e->te));
            e->progress = REFUSED;
            rc = RPMRC_FAIL;
        } else {
            e->list = len > 0 ? strndup(name, (size_t)len) : NULL;
            s->unlisted |= len == 0 && count_files(e->te) > 0;
            e->progress = ANNOUNCED;
        }
    }
    if (s->link == LOST && s->refuse) {
        e->progress = REFUSED;
        rc = RPMRC_FAIL;
    }
    catch_up(s, e);
    return rc;
}

/* Sends INSTALLED with the new database number, or FAILED with rpm's result. The
 * first changes nothing before the transaction's end, and waits for company. */
static void tell(struct session *s, int type, const struct element *e, uint32_t value)
{
    struct buf none = { 0 };
    struct reply r;
    const uint8_t head[FRAME_HEADER] = { 1, (uint8_t)type, [7] = 8 };
    put(&s->outbox, head, sizeof head);
    put_uint(&s->outbox, index_of(s, e), 4);
    put_uint(&s->outbox, value, 4);
    if (type != MSG_INSTALLED || s->outbox.len > MAX_OUTBOX)
        exchange(s, &none, NULL, 0, 0, &r);
}

/* Names the header that is gone by what its signature covers: numbers in rpm's
 * database change, and the same NEVRA may just have been installed again. */
static void tell_removed(struct session *s, const struct element *e)
{
    static const uint8_t magic[] = { 0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0 };
    Header h = rpmteHeader(e->te);
    struct rpmtd_s region;
    struct buf b = { 0 };
    struct reply r;
    void *digest = NULL;
    size_t len = 0;

    if (h && headerGet(h, RPMTAG_HEADERIMMUTABLE, &region, HEADERGET_MINMEM)) {
        DIGEST_CTX ctx = rpmDigestInit(RPM_HASH_SHA256, RPMDIGEST_NONE);
        rpmDigestUpdate(ctx, magic, sizeof magic);
        rpmDigestUpdate(ctx, region.data, region.count);
        rpmDigestFinal(ctx, &digest, &len, 0);
        rpmtdFreeData(&region);
    }
    start_frame(&b, MSG_REMOVED);
    put_uint(&b, index_of(s, e), 4);
    put_bytes(&b, digest, len);
    end_frame(&b, 0);
    exchange(s, &b, NULL, 0, 0, &r);
    free(b.p);
    free(digest);
    headerFree(h);
}

/* Reads the answer to END, if one is due. */
static void await_ack(struct session *s)
{
    struct reply r;
    if (s->ending && s->link == OPEN && await_reply(s, MSG_ACK, &r, now_ms() + EXCHANGE_MS) && !finish(s, &r))
        lose(s, strerror(EPROTO));
    s->ending = false;
}

/* Says that the transaction is over. rpm then makes durable what it did, and the
 * daemon does so meanwhile; where there is something to tell the user about, the
 * answer comes first. */
static void end(struct session *s)
{
    struct buf b = { 0 };
    struct reply r;
    uint32_t failed = 0;
    for (uint32_t i = 0; i < s->n; i++)
        failed += rpmteFailed(s->elements[i].te) > 0;
    start_frame(&b, MSG_END);
    put_uint(&b, failed, 4);
    end_frame(&b, 0);
    s->ending = exchange(s, &b, NULL, 0, 0, &r);
    if (s->unlisted)
        await_ack(s);
    free(b.p);
}

/* ---- options ---- */

static const char *value_of(const char *option, const char *name)
{
    size_t n = strlen(name);
    return strncmp(option, name, n) == 0 && option[n] == '=' ? option + n + 1 : NULL;
}

static void set_option(struct session *s, const char *option)
{
    const char *value;
    if ((value = value_of(option, "socket")) && strlen(value) < sizeof s->socket) {
        memset(s->socket, 0, sizeof s->socket);
        memcpy(s->socket, value, strlen(value));
    } else if ((value = value_of(option, "timeout")) && atoi(value) > 0 && atoi(value) <= 3600) {
        s->timeout_ms = atoi(value) * 1000;
    } else if (strcmp(option, "on-unreachable=proceed") == 0) {
        s->refuse_option = 0;
    } else if (strcmp(option, "on-unreachable=refuse") == 0) {
        s->refuse_option = 1;
    } else {
        say(s, RPMLOG_WARNING, "digestd: option %s in %%__transaction_digestd is unknown, or its value is wrong; ignored",
            option);
    }
}

static bool refuse_when_unreachable(const struct session *s)
{
    if (s->refuse_option >= 0)
        return s->refuse_option;
    char *value = rpmExpand("%{?_digestd_on_unreachable}", NULL);
    bool refuse = *value && strcmp(value, "proceed") != 0;
    if (refuse && strcmp(value, "refuse") != 0)
        say(s, RPMLOG_WARNING, "digestd: %%_digestd_on_unreachable is %s, neither proceed nor refuse; taken for refuse", value);
    free(value);
    return refuse;
}

/* ---- hooks ---- */

/* Without its session the plugin does nothing; init must not fail, for rpm
 * would then refuse every package as unreadable. */
static rpmRC digestd_init(rpmPlugin plugin, rpmts ts)
{
    struct session *s = calloc(1, sizeof *s);
    const char *opts = rpmPluginOpts(plugin);
    char *copy = strdup(opts ? opts : ""), *rest;
    (void)ts;

    rpmPluginSetData(plugin, s);
    if (s) {
        s->fd = -1;
        s->timeout_ms = DEFAULT_BUDGET_MS;
        s->refuse_option = -1;
        s->to_stderr = log_is_hidden();
        strcpy(s->socket, DEFAULT_SOCKET);
        for (char *o = copy ? strtok_r(copy, " \t", &rest) : NULL; o; o = strtok_r(NULL, " \t", &rest))
            set_option(s, o);
    }
    free(copy);
    return RPMRC_OK;
}

static void digestd_cleanup(rpmPlugin plugin)
{
    struct session *s = rpmPluginGetData(plugin);
    if (!s)
        return;
    await_ack(s);
    hang_up(s);
    forget_elements(s);
    free(s->in);
    free(s->outbox.p);
    free(s);
    rpmPluginSetData(plugin, NULL);
}

static rpmRC digestd_tsm_pre(rpmPlugin plugin, rpmts ts)
{
    struct session *s = rpmPluginGetData(plugin);
    if (!s)
        return RPMRC_OK;
    await_ack(s);
    hang_up(s);
    forget_elements(s);
    s->budget_ms = s->timeout_ms;
    s->refuse = refuse_when_unreachable(s);
    s->test = rpmtsFlags(ts) & RPMTRANS_FLAG_TEST;
    s->db_only = rpmtsFlags(ts) & RPMTRANS_FLAG_JUSTDB;
    s->label_warned = false;
    s->asked = NULL;
    s->unlisted = false;
    s->late = false;
    if (!learn_elements(s, ts))
        lose(s, strerror(errno));
    else if (dial(s))
        return begin(s, ts);
    return s->refuse ? RPMRC_FAIL : RPMRC_OK;
}

static rpmRC digestd_tsm_post(rpmPlugin plugin, rpmts ts, int res)
{
    struct session *s = rpmPluginGetData(plugin);
    (void)ts, (void)res;
    if (!s)
        return RPMRC_OK;
    learn(s);
    if (s->link == OPEN)
        end(s);
    if (!s->ending)
        hang_up(s);
    forget_elements(s);
    return RPMRC_OK;
}

static rpmRC digestd_psm_pre(rpmPlugin plugin, rpmte te)
{
    struct session *s = rpmPluginGetData(plugin);
    struct element *e = s ? find(s, te) : NULL;
    rpmElementType type = rpmteType(te);

    if (!e || s->link == SILENT || (type != TR_ADDED && type != TR_RESTORED))
        return RPMRC_OK;
    learn(s);
    s->current = e;
    if (e->progress == UNSEEN && s->link == OPEN) {
        Header h = rpmteHeader(te);
        announce(s, e, h);
        /* Only what unpacks files has a later moment that could still stop it. */
        if (s->db_only || !h || !headerIsEntry(h, RPMTAG_BASENAMES))
            learn(s);
        else if (s->asked && s->late)
            s->to_come = count_files(te);
        headerFree(h);
    }
    if (e->progress == UNSEEN && s->link == LOST && s->refuse)
        e->progress = REFUSED;
    return e->progress == REFUSED ? RPMRC_FAIL : RPMRC_OK;
}

/* Before a scriptlet can run what the package brings, its list must be there. */
static rpmRC digestd_scriptlet_pre(rpmPlugin plugin, const char *name, int type)
{
    struct session *s = rpmPluginGetData(plugin);
    (void)name, (void)type;
    return s ? learn(s) : RPMRC_OK;
}

static rpmRC digestd_psm_post(rpmPlugin plugin, rpmte te, int res)
{
    struct session *s = rpmPluginGetData(plugin);
    struct element *e = s ? find(s, te) : NULL;

    if (!e)
        return RPMRC_OK;
    learn(s);
    s->current = NULL;
    bool in_database = rpmteDBInstance(te) != 0;
    if (in_database || res != 0)
        forget_signatures(e);
    if (s->link != OPEN || e->progress == DONE)
        return RPMRC_OK;
    switch (rpmteType(te)) {
    case TR_ADDED:
        /* Neither in the database nor failed: that was a script stage. */
        if (in_database) {
            e->progress = DONE;
            tell(s, MSG_INSTALLED, e, rpmteDBInstance(te));
        } else if (res != 0 && e->progress == ANNOUNCED) {
            /* Should rpm come back to it after all, it is announced anew. */
            e->progress = UNSEEN;
            free(e->list);
            e->list = NULL;
            tell(s, MSG_FAILED, e, (uint32_t)res);
        }
        break;
    case TR_REMOVED:
        if (!in_database) {
            e->progress = DONE;
            tell_removed(s, e);
        } else if (res != 0) {
            tell(s, MSG_FAILED, e, (uint32_t)res);
        }
        break;
    default:
        break;
    }
    return RPMRC_OK;
}

static bool has_digest(rpmfi fi)
{
    int algo;
    size_t n;
    const unsigned char *digest = rpmfiFDigest(fi, &algo, &n);
    for (size_t i = 0; digest && i < n; i++)
        if (digest[i])
            return true;
    return false;
}

/* Directories and links come without a label to set, but are a beginning. */
static rpmRC digestd_fsm_file_pre(rpmPlugin plugin, rpmfi fi, const char *path, mode_t mode, rpmFsmOp op)
{
    struct session *s = rpmPluginGetData(plugin);
    (void)fi, (void)path, (void)op;
    return s && !s->late && !S_ISREG(mode) ? learn(s) : RPMRC_OK;
}

static rpmRC digestd_fsm_file_prepare(rpmPlugin plugin, rpmfi fi, int fd, const char *path,
                                      const char *dest, mode_t mode, rpmFsmOp op)
{
    struct session *s = rpmPluginGetData(plugin);
    const char *name = dest ? dest : path;
    bool fresh = XFA_CREATING(XFO_ACTION(op));

    if (!s || !s->current)
        return RPMRC_OK;
    /* rpm makes directories that no package owns without a file index. */
    bool written = fi && S_ISREG(mode) && (fresh || XFO_ACTION(op) == FA_TOUCH) && !(rpmfiFFlags(fi) & RPMFILE_GHOST);
    if (s->asked && s->late) {
        /* Of a file with several names the descriptor may be one that allows no attributes (O_PATH). */
        bool single = written && rpmfiFNlink(fi) == 1;
        if (single && s->to_come > 0)
            s->to_come--;
        if (!written || !has_digest(fi) || (single && fresh && put_off(s, (uint32_t)rpmfiFX(fi), fd, name)))
            return RPMRC_OK;
    }
    if (learn(s) != RPMRC_OK)
        return RPMRC_FAIL;
    if (s->current->progress == ANNOUNCED && written && has_digest(fi))
        mark(s, s->current, (uint32_t)rpmfiFX(fi), fd, path, name, fresh);
    return RPMRC_OK;
}

/* A file has its name: where rpm skipped some, the end of those to come was not
 * in sight. Directories that no package owns come here while others are written. */
static rpmRC digestd_fsm_file_post(rpmPlugin plugin, rpmfi fi, const char *path, mode_t mode, rpmFsmOp op, int res)
{
    struct session *s = rpmPluginGetData(plugin);
    (void)path, (void)mode, (void)op, (void)res;
    return s && fi ? learn(s) : RPMRC_OK;
}

__attribute__((visibility("default")))
struct rpmPluginHooks_s digestd_hooks = {
    .init = digestd_init,
    .cleanup = digestd_cleanup,
    .tsm_pre = digestd_tsm_pre,
    .tsm_post = digestd_tsm_post,
    .psm_pre = digestd_psm_pre,
    .psm_post = digestd_psm_post,
    .scriptlet_pre = digestd_scriptlet_pre,
    .fsm_file_pre = digestd_fsm_file_pre,
    .fsm_file_post = digestd_fsm_file_post,
    .fsm_file_prepare = digestd_fsm_file_prepare,
};
