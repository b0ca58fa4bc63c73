// SPDX-License-Identifier: Apache-2.0
#include "elements.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rpm/rpmfi.h>
#include <rpm/rpmfiles.h>

static uint32_t slot_of(const struct elements *t, rpmte te)
{
    uint64_t h = (uint64_t)(uintptr_t)te * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(h >> 32) & t->mask;
    while (t->slots[i] && t->all[t->slots[i] - 1].te != te)
        i = (i + 1) & t->mask;
    return i;
}

bool elements_learn(struct elements *t, rpmts ts)
{
    int n = rpmtsNElements(ts);
    uint32_t size = 16;
    if (n < 0 || n > MAX_ELEMENTS) {
        errno = E2BIG;
        return false;
    }
    while (size < 2 * (uint32_t)n)
        size *= 2;
    t->mask = size - 1;
    t->slots = calloc(size, sizeof *t->slots);
    t->all = calloc((size_t)n + 1, sizeof *t->all);
    if (!t->slots || !t->all)
        return false;
    for (int i = 0; i < n; i++) {
        rpmte te = rpmtsElement(ts, i);
        t->all[t->n++].te = te;
        t->slots[slot_of(t, te)] = t->n;
    }
    return true;
}

void elements_forget(struct elements *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        free(t->all[i].list);
        element_forget_signatures(&t->all[i]);
    }
    free(t->all);
    free(t->slots);
    *t = (struct elements){ 0 };
}

struct element *elements_find(const struct elements *t, rpmte te)
{
    if (!t->slots || !t->all)
        return NULL;
    uint32_t index = t->slots[slot_of(t, te)];
    return index ? &t->all[index - 1] : NULL;
}

uint32_t elements_index(const struct elements *t, const struct element *e)
{
    return (uint32_t)(e - t->all);
}

uint32_t element_files(rpmte te)
{
    rpmfiles files = rpmteFiles(te);
    uint32_t n = 0;
    for (int i = 0, all = rpmfilesFC(files); i < all; i++)
        n += S_ISREG(rpmfilesFMode(files, i)) && !(rpmfilesFFlags(files, i) & RPMFILE_GHOST) && rpmfilesFNlink(files, i) == 1;
    rpmfilesFree(files);
    return n;
}

bool element_name_list(struct element *e, const char *name, size_t n)
{
    free(e->list);
    e->list = name ? strndup(name, n) : NULL;
    return e->list || !name;
}

bool element_keep_signatures(struct element *e, uint32_t n, struct reply *r)
{
    element_forget_signatures(e);
    if (r->bad || n == 0)
        return true;
    e->signatures = malloc(n * sizeof *e->signatures);
    e->bytes = malloc((size_t)(r->end - r->p));
    if (!e->signatures || !e->bytes) {
        element_forget_signatures(e);
        return false;
    }
    struct file_signature s = { 0 };
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        s = next_signature(r, i > 0 ? &s : NULL);
        if (r->bad)
            break;
        e->signatures[i] = (struct signature){ .file = s.file, .at = at, .n = s.len };
        memcpy(e->bytes + at, s.p, s.len);
        at += s.len;
    }
    e->nsignatures = r->bad ? 0 : n;
    return true;
}

void element_forget_signatures(struct element *e)
{
    free(e->signatures);
    free(e->bytes);
    e->signatures = NULL;
    e->bytes = NULL;
    e->nsignatures = 0;
}

const struct signature *element_signature(const struct element *e, uint32_t file)
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
