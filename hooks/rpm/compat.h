// SPDX-License-Identifier: Apache-2.0
/*
 * compat bridges the versions of librpm, from 4.18 on.
 */
#ifndef DIGESTD_COMPAT_H
#define DIGESTD_COMPAT_H

#include <rpm/rpmfi.h>
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

enum { TAG_OPENPGP = 278 }; /* RPMTAG_OPENPGP, unknown to rpm before 4.20 */

#endif
