// SPDX-License-Identifier: Apache-2.0
/*
 * Plugin for librpm: it tells the daemon what a transaction is about to do and
 * has done, and labels the files that rpm unpacks with the name of their digest
 * list (docs/protocol.md, security.digest_list) and, where the daemon sends one,
 * with a signature (security.ima).
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
 *
 * This file has rpm's hooks only. Below it, each to be read alone: exchange (the
 * conversation), wait (what rpm may do meanwhile), elements, label, link, wire,
 * options, say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rpm/header.h>

#include "compat.h"
#include "exchange.h"
#include "label.h"

/* Without its session the plugin does nothing; init must not fail, for rpm
 * would then refuse every package as unreadable. */
static rpmRC digestd_init(rpmPlugin plugin, rpmts ts)
{
    struct session *s = calloc(1, sizeof *s);
    (void)ts;

    rpmPluginSetData(plugin, s);
    if (s) {
        options_read(&s->options, rpmPluginOpts(plugin));
        s->link.fd = -1;
    }
    return RPMRC_OK;
}

static void digestd_cleanup(rpmPlugin plugin)
{
    struct session *s = rpmPluginGetData(plugin);
    if (!s)
        return;
    await_ack(s);
    forget(s);
    link_free(&s->link);
    free(s);
    rpmPluginSetData(plugin, NULL);
}

static rpmRC digestd_tsm_pre(rpmPlugin plugin, rpmts ts)
{
    struct session *s = rpmPluginGetData(plugin);
    if (!s)
        return RPMRC_OK;
    await_ack(s);
    link_hang_up(&s->link);
    forget(s);
    s->link.budget_ms = s->options.timeout_ms;
    s->refuse = options_refuse(&s->options);
    s->test = rpmtsFlags(ts) & RPMTRANS_FLAG_TEST;
    s->db_only = rpmtsFlags(ts) & RPMTRANS_FLAG_JUSTDB;
    s->assured = false;
    s->unlisted = false;
    s->label_warned = false;
    if (elements_learn(&s->elements, ts) && link_dial(&s->link, s->options.socket))
        return begin(s, ts);
    lose(s, strerror(errno));
    return s->refuse ? RPMRC_FAIL : RPMRC_OK;
}

static rpmRC digestd_tsm_post(rpmPlugin plugin, rpmts ts, int res)
{
    struct session *s = rpmPluginGetData(plugin);
    (void)ts, (void)res;
    if (!s)
        return RPMRC_OK;
    learn(s);
    if (s->link.state == LINK_OPEN)
        end(s);
    if (!s->ending)
        link_hang_up(&s->link);
    forget(s);
    return RPMRC_OK;
}

static rpmRC digestd_psm_pre(rpmPlugin plugin, rpmte te)
{
    struct session *s = rpmPluginGetData(plugin);
    struct element *e = s ? elements_find(&s->elements, te) : NULL;
    rpmElementType type = rpmteType(te);

    if (!e || s->link.state == LINK_CLOSED || (type != TR_ADDED && type != TR_RESTORED))
        return RPMRC_OK;
    learn(s);
    s->current = e;
    if (e->progress == UNSEEN && s->link.state == LINK_OPEN) {
        Header h = rpmteHeader(te);
        announce(s, e, h);
        if (s->db_only || !h || !headerIsEntry(h, RPMTAG_BASENAMES))
            learn(s);
        headerFree(h);
    }
    if (e->progress == UNSEEN && s->link.state == LINK_LOST && s->refuse)
        e->progress = REFUSED;
    return e->progress == REFUSED ? RPMRC_FAIL : RPMRC_OK;
}

/* The list must exist before a scriptlet can run what the package brings. */
static rpmRC digestd_scriptlet_pre(rpmPlugin plugin, const char *name, int type)
{
    struct session *s = rpmPluginGetData(plugin);
    (void)name, (void)type;
    return s ? at_event(s, ON_STEP) : RPMRC_OK;
}

static rpmRC digestd_psm_post(rpmPlugin plugin, rpmte te, int res)
{
    struct session *s = rpmPluginGetData(plugin);
    struct element *e = s ? elements_find(&s->elements, te) : NULL;

    if (!e)
        return RPMRC_OK;
    learn(s);
    s->current = NULL;
    bool in_database = rpmteDBInstance(te) != 0;
    if (in_database || res != 0)
        element_forget_signatures(e);
    if (s->link.state != LINK_OPEN || e->progress == DONE)
        return RPMRC_OK;
    switch (rpmteType(te)) {
    case TR_ADDED:
        /* Neither in the database nor failed: that was a script stage. */
        if (in_database) {
            e->progress = DONE;
            tell_installed(s, e, rpmteDBInstance(te));
        } else if (res != 0 && e->progress == ANNOUNCED) {
            /* Should rpm come back to it after all, it is announced again. */
            e->progress = UNSEEN;
            free(e->list);
            e->list = NULL;
            tell_failed(s, e, res);
        }
        break;
    case TR_REMOVED:
        if (!in_database) {
            e->progress = DONE;
            tell_removed(s, e);
        } else if (res != 0) {
            tell_failed(s, e, res);
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

static rpmRC digestd_fsm_file_pre(rpmPlugin plugin, rpmfi fi, const char *path, mode_t mode, rpmFsmOp op)
{
    struct session *s = rpmPluginGetData(plugin);
    (void)fi, (void)path, (void)op;
    return s && !S_ISREG(mode) ? at_event(s, ON_OTHER) : RPMRC_OK;
}

static rpmRC digestd_fsm_file_prepare(rpmPlugin plugin, rpmfi fi, int fd, const char *path,
                                      const char *dest, mode_t mode, rpmFsmOp op)
{
    struct session *s = rpmPluginGetData(plugin);
    if (!s || !s->current)
        return RPMRC_OK;

    const char *name = dest ? dest : path;
    bool fresh = XFA_CREATING(XFO_ACTION(op));
    /* rpm makes directories that no package owns without a file index. */
    bool written = fi && S_ISREG(mode) && (fresh || XFO_ACTION(op) == FA_TOUCH) && !(rpmfiFFlags(fi) & RPMFILE_GHOST);
    /* The descriptor of a file with several names may allow no attributes (O_PATH). */
    bool single = written && rpmfiFNlink(fi) == 1;
    if (single && s->question.to_come > 0)
        s->question.to_come--;

    rpmRC rc;
    bool put_off = false;
    if (!written || !has_digest(fi))
        return at_event(s, ON_SKIPPED) == RPMRC_OK ? RPMRC_OK : RPMRC_FAIL;
    if (single && fresh)
        rc = at_file(s, &(struct waiting){ .fd = fd, .file = (uint32_t)rpmfiFX(fi), .name = (char *)(uintptr_t)name }, &put_off);
    else
        rc = at_event(s, ON_SHARED);
    if (rc != RPMRC_OK)
        return RPMRC_FAIL;
    if (!put_off && s->current->progress == ANNOUNCED) {
        const struct target file = { .fd = fd, .path = path, .file = (uint32_t)rpmfiFX(fi), .fresh = fresh };
        mark(s, s->current, &file, name);
    }
    return RPMRC_OK;
}

/* A file has its name: where rpm skipped some, the last of those to come could
 * not be told. Directories that no package owns come here while others are written. */
static rpmRC digestd_fsm_file_post(rpmPlugin plugin, rpmfi fi, const char *path, mode_t mode, rpmFsmOp op, int res)
{
    struct session *s = rpmPluginGetData(plugin);
    (void)path, (void)mode, (void)op, (void)res;
    return s && fi ? at_event(s, ON_NAMED) : RPMRC_OK;
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
