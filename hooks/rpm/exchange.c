// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rpm/header.h>
#include <rpm/rpmbase64.h>
#include <rpm/rpmcrypto.h>
#include <rpm/rpmlib.h>
#include <rpm/rpmlog.h>
#include <rpm/rpmmacro.h>

#include "compat.h"
#include "label.h"
#include "say.h"

static const char plugin_name[] = "rpm-plugin-digestd 1";

enum { MAX_OUTBOX = 32 << 10 };

void lose(struct session *s, const char *why)
{
    link_hang_up(&s->link);
    s->link.state = LINK_LOST;
    if (s->refuse)
        say(&s->options, RPMLOG_ERR, "digestd: no answer at %s: %s; refusing to install until it is running "
            "(systemctl start digestd), or with _digestd_on_unreachable set to proceed", s->options.socket, why);
    else if (!s->test)
        say(&s->options, RPMLOG_WARNING, "digestd: no answer at %s: %s; going on, digest lists follow when it is back",
            s->options.socket, why);
}

static bool refused_unreachable(const struct session *s)
{
    return s->link.state == LINK_LOST && s->refuse;
}

/* ---- frames and replies ---- */

/* Waits for a reply of the type expect. If there is none, the daemon is lost. */
static bool await_reply(struct session *s, enum message expect, struct reply *r, int64_t deadline)
{
    if (!link_receive(&s->link, r, deadline)) {
        lose(s, strerror(errno));
        return false;
    }
    if (r->type == MSG_ERROR) {
        char why[512];
        struct text text = get_text(r, MAX_STRING);
        snprintf(why, sizeof why, "%.*s", text.len, text.p);
        lose(s, r->bad ? strerror(EPROTO) : why);
        return false;
    }
    if (r->type != expect) {
        lose(s, strerror(EPROTO));
        return false;
    }
    return true;
}

/* Sends the outbox, a frame that starts in b, and what follows b. Without a
 * reply to wait for, r is NULL. If it fails the daemon is lost. */
static bool exchange(struct session *s, const struct buf *b, const struct iovec *more, size_t nmore,
                     enum message expect, struct reply *r)
{
    struct iovec frame[LINK_PIECES] = { { .iov_base = b->p, .iov_len = b->len } };
    int64_t deadline = link_deadline();

    if (b->failed) {
        lose(s, strerror(ENOMEM));
        return false;
    }
    for (size_t i = 0; i < nmore; i++)
        frame[1 + i] = more[i];
    bool sent = link_send(&s->link, frame, 1 + nmore, deadline);
    /* A daemon that closes its end may have said why. */
    bool closed = !sent && (errno == EPIPE || errno == ECONNRESET);
    if (!sent && !closed) {
        lose(s, strerror(errno));
        return false;
    }
    if (r)
        return await_reply(s, expect, r, deadline);
    struct reply why;
    return sent || await_reply(s, MSG_ERROR, &why, deadline);
}

static bool send_frame(struct session *s, const struct buf *b)
{
    return exchange(s, b, NULL, 0, MSG_ERROR, NULL);
}

/* In a test run only the reasons for a refusal are shown. */
static void show_note(void *to, int level, struct text text)
{
    static const int levels[] = { RPMLOG_NOTICE, RPMLOG_WARNING, RPMLOG_ERR };
    const struct session *s = to;
    if (!s->test || levels[level] == RPMLOG_ERR)
        say(&s->options, levels[level], "%.*s", text.len, text.p);
}

/* Reports whether nothing but an empty count of messages is left in r. */
static bool mute(const struct reply *r)
{
    return r->end - r->p == 2;
}

/* ---- the transaction ---- */

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

static void put_begin(struct session *s, struct buf *b, rpmts ts)
{
    const char *root = rpmtsRootDir(ts);
    char *dbpath = rpmExpand("%{?_dbpath}", NULL);
    char *dbdir = NULL;

    if (!root || !*root)
        root = "/";
    if (asprintf(&dbdir, "%s/%s", root, dbpath) < 0)
        dbdir = NULL;
    start_frame(b, MSG_BEGIN);
    put_str(b, plugin_name);
    put_str(b, RPMVERSION);
    put_str(b, root);
    put_identity(b, root);
    put_str(b, dbpath);
    put_identity(b, dbdir ? dbdir : "");
    put_uint(b, rpmtsFlags(ts), 4);
    put_uint(b, rpmtsGetTid(ts), 4);
    put_uint(b, s->elements.n, 4);
    for (uint32_t i = 0; i < s->elements.n; i++)
        put_element(b, s->elements.all[i].te);
    end_frame(b, 0);
    free(dbpath);
    free(dbdir);
}

rpmRC begin(struct session *s, rpmts ts)
{
    struct buf b = { 0 };
    struct reply r;
    rpmRC rc = RPMRC_OK;

    put_begin(s, &b, ts);
    if (b.len > FRAME_HEADER + MAX_BEGIN) {
        lose(s, strerror(E2BIG));
    } else if (exchange(s, &b, NULL, 0, MSG_VERDICT, &r)) {
        enum verdict verdict = parse_verdict(&r);
        bool silent = mute(&r);
        if (!parse_notes(&r, show_note, s)) {
            lose(s, strerror(EPROTO));
        } else if (verdict == REFUSE) {
            if (silent)
                say(&s->options, RPMLOG_ERR, "digestd: transaction refused, without a reason");
            rc = RPMRC_FAIL;
        }
        /* With on-unreachable=refuse every answer must arrive before its package
         * is unpacked. */
        s->assured = verdict == ASSURED && !s->refuse;
        if ((verdict == REFUSE || verdict == NOT_MANAGED) && s->link.state == LINK_OPEN)
            link_hang_up(&s->link);
    }
    free(b.p);
    return refused_unreachable(s) ? RPMRC_FAIL : rc;
}

void end(struct session *s)
{
    struct buf b = { 0 };
    uint32_t failed = 0;
    for (uint32_t i = 0; i < s->elements.n; i++)
        failed += rpmteFailed(s->elements.all[i].te) > 0;
    start_frame(&b, MSG_END);
    put_uint(&b, failed, 4);
    end_frame(&b, 0);
    s->ending = send_frame(s, &b);
    if (s->unlisted)
        await_ack(s);
    free(b.p);
}

void await_ack(struct session *s)
{
    struct reply r;
    if (s->ending && s->link.state == LINK_OPEN && await_reply(s, MSG_ACK, &r, link_deadline()) &&
        !parse_notes(&r, show_note, s))
        lose(s, strerror(EPROTO));
    s->ending = false;
}

static void forget_waiting(struct question *q)
{
    for (uint32_t i = 0; i < q->nwaiting; i++) {
        close(q->waiting[i].fd);
        free(q->waiting[i].name);
    }
    q->nwaiting = 0;
}

void forget(struct session *s)
{
    forget_waiting(&s->question);
    elements_forget(&s->elements);
    s->question.state = WAIT_NONE;
    s->question.about = NULL;
    s->current = NULL;
}

/* ---- a header ---- */

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

void announce(struct session *s, struct element *e, Header h)
{
    struct rpmtd_s region;
    struct buf head = { 0 }, sigs = { 0 };

    rpmtdReset(&region);
    if (h)
        headerGet(h, RPMTAG_HEADERIMMUTABLE, &region, HEADERGET_MINMEM);
    put_signatures(&sigs, h);
    /* A package that exceeds a frame is announced without, and gets no list. */
    if (sigs.len > MAX_SIGNATURES) {
        sigs.len = 0;
        put_signatures(&sigs, NULL);
    }
    size_t n = region.count;
    if (n > MAX_HEADER - 2 * MAX_SIGNATURES)
        n = 0;
    start_frame(&head, MSG_HEADER);
    put_uint(&head, elements_index(&s->elements, e), 4);
    put_uint(&head, (uint64_t)rpmteType(e->te), 1);
    put_uint(&head, rpmteDBInstance(e->te), 4);
    put_uint(&head, n, 4);
    head.failed |= sigs.failed;
    end_frame(&head, n + sigs.len);
    struct iovec more[2] = { { .iov_base = region.data, .iov_len = n },
                             { .iov_base = sigs.p, .iov_len = sigs.len } };

    s->question.to_come = 0;
    if (exchange(s, &head, more, 2, MSG_ERROR, NULL)) {
        e->progress = ASKED;
        s->question.about = e;
        s->question.state = s->assured ? WAIT_LATE : WAIT_STRICT;
        /* Only a package that unpacks files has a later moment at which its
         * answer could still be taken. */
        if (s->assured && h && headerIsEntry(h, RPMTAG_BASENAMES))
            s->question.to_come = element_files(e->te);
    }
    free(head.p);
    free(sigs.p);
    rpmtdFreeData(&region);
}

/* Labels what was put off, if there is a label for it. */
static void catch_up(struct session *s, const struct element *e)
{
    struct question *q = &s->question;
    for (uint32_t i = 0; i < q->nwaiting; i++) {
        const struct waiting *w = &q->waiting[i];
        const struct target file = { .fd = w->fd, .file = w->file, .fresh = true };
        if (e->progress == ANNOUNCED)
            mark(s, e, &file, w->name ? w->name : rpmteNEVRA(e->te));
    }
    forget_waiting(q);
}

/* Applies a LIST to the element that was asked about. */
static rpmRC take_list(struct session *s, struct element *e, struct reply *r)
{
    struct list list = parse_list(r);
    bool kept = element_keep_signatures(e, list.nsignatures, r);
    bool silent = mute(r);
    if (!kept) {
        lose(s, strerror(ENOMEM));
        return RPMRC_OK;
    }
    if (r->bad || list.element != elements_index(&s->elements, e) || !parse_notes(r, show_note, s)) {
        element_forget_signatures(e);
        lose(s, strerror(EPROTO));
        return RPMRC_OK;
    }
    if (list.decision == LIST_REFUSED) {
        if (silent)
            say(&s->options, RPMLOG_ERR, "digestd: %s refused, without a reason", rpmteNEVRA(e->te));
        e->progress = REFUSED;
        return RPMRC_FAIL;
    }
    if (!element_name_list(e, list.decision == LIST_NAMED ? list.name.p : NULL, (size_t)list.name.len)) {
        element_forget_signatures(e);
        lose(s, strerror(ENOMEM));
        return RPMRC_OK;
    }
    s->unlisted |= list.decision == NO_LIST && element_files(e->te) > 0;
    e->progress = ANNOUNCED;
    return RPMRC_OK;
}

rpmRC learn(struct session *s)
{
    struct question *q = &s->question;
    struct element *e = q->about;
    struct reply r;
    rpmRC rc = RPMRC_OK;

    if (q->state == WAIT_NONE)
        return RPMRC_OK;
    q->state = WAIT_NONE;
    q->about = NULL;
    e->progress = UNSEEN;
    if (await_reply(s, MSG_LIST, &r, link_deadline()))
        rc = take_list(s, e, &r);
    if (refused_unreachable(s)) {
        e->progress = REFUSED;
        rc = RPMRC_FAIL;
    }
    catch_up(s, e);
    return rc;
}

rpmRC at_event(struct session *s, enum wait_event event)
{
    return wait_step(s->question.state, event) == GO_ON ? RPMRC_OK : learn(s);
}

/* Reports whether one more file may be put off: rpm must not be able to name any
 * file of the package before its label is set. */
static bool has_room(const struct session *s)
{
    enum { LOOK_EVERY = 4 };
    const struct question *q = &s->question;
    return q->to_come > 0 && q->nwaiting < MAX_WAITING &&
           (q->nwaiting % LOOK_EVERY != 0 || !link_has_news(&s->link));
}

rpmRC at_file(struct session *s, const struct waiting *w, bool *put_off)
{
    struct question *q = &s->question;
    *put_off = false;
    switch (wait_step(q->state, ON_FILE)) {
    case GO_ON:
        return RPMRC_OK;
    case PUT_OFF: {
        int own = has_room(s) ? fcntl(w->fd, F_DUPFD_CLOEXEC, 0) : -1;
        if (own >= 0) {
            q->waiting[q->nwaiting++] = (struct waiting){ .fd = own, .file = w->file, .name = strdup(w->name) };
            *put_off = true;
            return RPMRC_OK;
        }
    } /* fall through */
    default:
        return learn(s);
    }
}

void mark(struct session *s, const struct element *e, const struct target *file, const char *name)
{
    /* A file system without attributes, such as an EFI system partition, has no
     * labels, and none are looked for there: nothing is wrong with that. */
    if (label_file(e, file) == 0 || errno == EOPNOTSUPP || s->label_warned)
        return;
    s->label_warned = true;
    say(&s->options, RPMLOG_WARNING, "digestd: cannot label %s, and maybe others: %s", name, strerror(errno));
}

/* ---- what became of a package ---- */

static void put_outcome(struct session *s, enum message type, const struct element *e, uint32_t value)
{
    const uint8_t head[FRAME_HEADER] = { 1, (uint8_t)type, [7] = 8 };
    put(&s->link.outbox, head, sizeof head);
    put_uint(&s->link.outbox, elements_index(&s->elements, e), 4);
    put_uint(&s->link.outbox, value, 4);
}

/* An installation changes nothing before the transaction's end, and waits in the
 * outbox for the next message. */
void tell_installed(struct session *s, const struct element *e, uint32_t instance)
{
    put_outcome(s, MSG_INSTALLED, e, instance);
    if (s->link.outbox.len > MAX_OUTBOX)
        send_frame(s, &(struct buf){ 0 });
}

void tell_failed(struct session *s, const struct element *e, int result)
{
    put_outcome(s, MSG_FAILED, e, (uint32_t)result);
    send_frame(s, &(struct buf){ 0 });
}

/* Names the header that is gone by what its signature covers: numbers in rpm's
 * database change, and the same NEVRA may just have been installed again. */
void tell_removed(struct session *s, const struct element *e)
{
    static const uint8_t magic[] = { 0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0 };
    Header h = rpmteHeader(e->te);
    struct rpmtd_s region;
    struct buf b = { 0 };
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
    put_uint(&b, elements_index(&s->elements, e), 4);
    put_bytes(&b, digest, len);
    end_frame(&b, 0);
    send_frame(s, &b);
    free(b.p);
    free(digest);
    headerFree(h);
}
